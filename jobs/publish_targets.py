"""The settings of publish targets: a table ``[publish.NAME]`` of ``nextmart.toml`` for each place that gets a copy."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobs.attached_database_settings import AttachedDatabase

SCHEMA_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,51}$"
"""Pattern of a schema's name: PostgreSQL allows 63 characters, and a swap of schemas adds up to ten to the name."""


class PublishTarget(BaseModel):
    """A place outside the published file that gets copies of its tables; ``[publish.NAME]`` describes the place."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    type: Literal["parquet", "duckdb", "postgres", "ducklake"]
    """What is written: a folder of Parquet files, another DuckDB file, or a schema of a PostgreSQL database or of a
    DuckLake."""
    path: Annotated[str, Field(min_length=1, pattern=r"\S")]
    """The folder of `parquet`, or the file of `duckdb`. For `postgres` a connection text (`host=db dbname=bi
    user=writer password=${BI_PASSWORD}`) or a URI; for `ducklake` what stands behind `ducklake:`. `${NAME}` is the
    value of an environment variable; a password can't stand there in any other way."""
    schema_name: Annotated[str, Field(pattern=SCHEMA_NAME)] = "recommendations"
    """The schema of `postgres` and `ducklake` that holds the tables. It is nextmart's alone: a schema of `postgres` is
    replaced whole."""

    @model_validator(mode="after")
    def _require_valid_database_path(self) -> "PublishTarget":
        if self.type == "postgres" or self.type == "ducklake":
            self.attached_database()
        return self

    def attached_database(self) -> AttachedDatabase:
        """Return the database of a target of type ``postgres`` or ``ducklake``."""
        return AttachedDatabase.model_validate({"type": self.type, "path": self.path, "read_only": False})

    def with_absolute_path(self, folder: Path) -> "PublishTarget":
        """Return the target with an absolute path; a relative path of a file or folder starts at ``folder``."""
        if self.type == "parquet" or self.type == "duckdb":
            return self.model_copy(update={"path": str(folder.absolute() / self.path)})
        return self.model_copy(update={"path": self.attached_database().with_absolute_path(folder).path})


def require_valid_target_names(publish_targets: dict[str, PublishTarget]) -> dict[str, PublishTarget]:
    """Check the names of publish targets, and return the targets.

    Raises
    ------
    ValueError
        If a name has characters other than letters, digits and ``_``, or starts with a digit.
    """
    for name in publish_targets:
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise ValueError(f"'{name}' is no name of a target: letters, digits and _ make one, such as bi")
    return publish_targets


def targets_by_setting(publish_targets: dict[str, PublishTarget]) -> dict[str, PublishTarget]:
    """Return the publish targets by the names of their settings in messages, such as ``[publish.bi]``."""
    return {f"[publish.{name}]": target for name, target in publish_targets.items()}
