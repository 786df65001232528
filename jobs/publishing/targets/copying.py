"""Copies the published tables to publish targets, one after the other; the failure of one doesn't stop the others."""

from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import duckdb

from jobs.errors import NextmartError, redact
from jobs.progress import say, stage_line
from jobs.publish_targets import PublishTarget
from jobs.publishing.targets.duckdb_file import write_duckdb
from jobs.publishing.targets.lake_schema import write_ducklake
from jobs.publishing.targets.parquet_folder import write_parquet
from jobs.publishing.targets.postgres_schema import write_postgres


def copy_to_targets(
    published_file: Path, publish_targets: Mapping[str, PublishTarget], *, may_keep_previous_files: bool = True
) -> dict[str, dict[str, Any]]:
    """Copy the published tables to each target; a target that fails is left as it was.

    Parameters
    ----------
    publish_targets : setting -> target
        Targets by the names that messages use for their settings, such as ``[publish.bi]``.
    may_keep_previous_files : bool
        Whether a target may keep the files of the previous publication for readers who have them open.

    Returns
    -------
    setting -> ``{"rows": number of rows}``, or ``{"problem": why the target still holds an earlier publication}``
    """
    return {
        setting: _copy_to_target(published_file, setting, target, may_keep_previous_files)
        for setting, target in publish_targets.items()
    }


def require_all_targets_copied(copy_outcomes: Mapping[str, Mapping[str, Any]], published_file: Path) -> None:
    """Raise NextmartError if a target could not get the present publication; the message says why, and what to type.

    Parameters
    ----------
    copy_outcomes
        What :func:`copy_to_targets` returned.
    """
    if problems := problem_lines(copy_outcomes):
        raise NextmartError(
            "\n".join(
                [
                    f"{published_file} is published, but these targets still hold the publication before:",
                    *problems,
                    "`nextmart publish` tries again.",
                ]
            )
        )


def problem_lines(copy_outcomes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for people on each target that could not get the present publication."""
    return [f"{setting}: {outcome['problem']}" for setting, outcome in copy_outcomes.items() if "problem" in outcome]


def _copy_to_target(
    published_file: Path, setting_name: str, target: PublishTarget, may_keep_previous_files: bool
) -> dict[str, Any]:
    started_at = monotonic()
    writers: dict[str, Callable[[], int]] = {
        "parquet": lambda: write_parquet(
            published_file, Path(target.path), may_keep_previous_files=may_keep_previous_files
        ),
        "duckdb": lambda: write_duckdb(published_file, Path(target.path)),
        "postgres": lambda: write_postgres(published_file, target, setting_name),
        "ducklake": lambda: write_ducklake(published_file, target, setting_name),
    }
    try:
        rows = writers[target.type]()
    except (NextmartError, duckdb.Error, OSError) as error:
        return {"problem": redact(str(error)).removeprefix(f"{setting_name}: ")}
    say(stage_line("publish", f"{setting_name} {rows:,} rows, verified", monotonic() - started_at))
    return {"rows": rows}
