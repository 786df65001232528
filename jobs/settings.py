"""Settings: ``nextmart.toml`` in the working folder, overridden by ``NEXTMART_*`` environment variables.

A value that SQL reads is a dbt var: it is described in ``dbt_project/dbt_project.yml`` and set under ``[vars]``. A
value that only jobs read is a field of ``Settings``. The text below a field is its description in ``docs/settings.md``,
which ``make docs`` writes. Secrets (``OPENAI_API_KEY``) are never settings.
"""

import json
import os
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from jobs.arm_settings import ArmsSettings
from jobs.attached_database_settings import AttachedDatabase
from jobs.dbt_vars import JobVars, all_vars, check_and_complete_vars, default_vars
from jobs.errors import UsageError, nearest_name_hint
from jobs.families import Family
from jobs.language_model_prices import LanguageModelPrices
from jobs.placement_settings import PlacementSettings, require_valid_placement_names
from jobs.publish_targets import PublishTarget, require_valid_target_names
from jobs.setting_errors import describe_setting_error
from jobs.settings_file import FILE_NAME, PREFIX, origin_of_value, settings_file

NOT_SETTINGS = {
    "NEXTMART_DATA": "Folder of the real data sets that tests, benchmarks and examples read.",
    "NEXTMART_DEBUG": "Any value: an error shows its traceback.",
}
"""Environment variables that begin with ``NEXTMART_`` but are no settings, each with its meaning."""


class Settings(BaseSettings):
    """The settings that only jobs read. Each field can be set in ``nextmart.toml`` or by an environment variable."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        toml_file=FILE_NAME,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    # --- Files ---
    warehouse: Path = Path("warehouse.duckdb")
    """DuckDB file of the warehouse. The file can't be named like a schema in it, as `raw.duckdb` would be."""
    published: Path = Path("published.duckdb")
    """DuckDB file with the recommendations, which analysts and applications open."""
    report: Path | None = None
    """HTML file of the report that each `nextmart run` writes after it has published. Unset: a run writes none, and
    `nextmart report` writes `report.html` beside the published file."""
    work_folder: Path = Path(".nextmart")
    """Folder of dbt's artefacts and log, of training checkpoints, and of experiments' reports."""
    wait_seconds: float = Field(0, ge=0, allow_inf_nan=False)
    """How many seconds a command, or a `dbt build` typed by hand, waits while another process holds the warehouse;
    `--wait` sets it for one command. 0: the command fails at once, and names that process."""

    # --- Publishing ---
    published_mode: str | None = Field(None, pattern=r"^0?[4-7][0-7]{2}$")
    """Permission bits of the published file, three octal digits as text, such as `"0440"`. Unset: those of the file
    that it replaces; a first file can be read by everybody, and written by nobody (`0444`)."""
    published_owner: str | None = Field(None, pattern=r"^([^:\s]+(:[^:\s]+)?|:[^:\s]+)$")
    """Owner of the published file: `"user"`, `"user:group"` or `":group"`. Unset: owner and group of the file that it
    replaces."""
    max_shrink_share: float = Field(0.2, ge=0, le=1)
    """Largest share by which each of four counts may be lower than in the published file that is live: visitors with
    lists, rows of lists, recommendable items, and rows of similar items. Beyond it nothing is published, unless the
    command says `--allow-shrink`."""
    max_lost_popularity_share: float = Field(0.5, ge=0, le=1)
    """Largest share by which the sum of `popular_items.score` may be lower than in the live file: events are missing
    then. Events that `nextmart forget` has deleted don't count."""
    max_gone_visitors_share: float = Field(0.5, ge=0, le=1)
    """Largest share of the visitors with lists in the live file who may have none, however many new visitors there
    are: the tables may be those of another shop."""
    min_list_overlap: float = Field(0, ge=0, le=1)
    """Least share of items that a visitor's old and new list have in common, as a mean over visitors who have both.
    A new live model may change most lists, so 0 refuses nothing; `recommendations.publication_changes` shows what is
    usual."""
    ignored_shrink: int = Field(5, ge=0)
    """A loss of at most so many visitors or items is never refused, since a few are a large share of a small shop. But
    nothing may fall to zero."""
    publish: dict[str, PublishTarget] = {}
    """Places that get a copy of the published tables after each publication: each target is a table `[publish.NAME]`
    (below)."""

    # --- Loading ---
    max_unreadable_share: float = Field(0.01, ge=0, lt=1)
    """The largest share of a file's rows that `nextmart load` may set aside in `raw.unreadable_rows` because they can't
    be read. Over it, the load stops, and nothing is loaded. 0 refuses every file with such a row."""
    max_withdrawn_share: float = Field(0.2, ge=0, le=1)
    """Largest share of the available items that a complete feed, or `nextmart load --complete`, withdraws. When the
    feed lacks more, nothing is loaded, unless the load says `--allow-mass-withdrawal`."""
    feeds: dict[str, dict[str, Any]] = {}
    """Feeds of files, of which `nextmart load` takes what is new: each feed is a table `[feeds.NAME]` (below)."""

    # --- Upkeep ---
    backups_kept: int = Field(0, ge=0, le=365)
    """The number of newest copies of the warehouse that are kept; each night takes one, and reads every row of it.
    0: no night takes one."""
    backup_folder: Path = Path("backups")
    """Folder of the copies of the warehouse: best on another disk. Each warehouse needs a folder of its own."""
    compact_free_share: float = Field(0.5, gt=0, le=1)
    """The file is compacted if at least this share of it is free: by `nextmart maintain`, and at the end of a night,
    but then at most every seventh night. A file below 64 MB is never compacted. 1: no file is."""
    job_runs_kept: int = Field(400, ge=10)
    """The number of newest runs of each job that `ml.job_runs` keeps. Runs that cost money always stay."""
    metrics_kept: int = Field(100, ge=1)
    """The number of newest models of each family whose metrics, ranks and decisions are kept. Models that have been
    live, and models that these were compared with, always keep theirs."""
    unreadable_rows_kept: int = Field(100_000, ge=0)
    """The number of newest rows that `raw.unreadable_rows` keeps."""
    published_lists_days: int = Field(90, ge=1)
    """The number of days for which `ml.published_lists` keeps lists that are no longer live. Only days count on which
    something was published. At least the dbt var `outcome_days`."""
    checkpoints_kept: int = Field(10, ge=0)
    """The number of newest checkpoints of killed trainings that are kept in the work folder."""
    log_megabytes: float = Field(20, ge=1, le=10_000)
    """The most megabytes that dbt's logs take in the work folder; the oldest lines go first."""

    # --- Databases ---
    attach: dict[str, AttachedDatabase] = {}
    """Databases that nextmart reads beside the warehouse, by the name that they have in SQL: a table `[attach.NAME]`
    for each. See [loading.md](loading.md#from-a-database)."""

    # --- Embedding ---
    embedding_batch_size: int = Field(256, gt=0, le=100_000)
    """The most texts in one request; the vectors of a request are committed together."""
    embedding_too_long: Literal["truncate", "fail"] = "truncate"
    """What happens to a text that is longer than the model allows: `truncate` cuts it, `fail` leaves it out. Either way
    `ml.embeddings` notes it."""
    embedding_requests_in_flight: int = Field(8, ge=1, le=256)
    """The most requests to a service that are unanswered at the same time."""
    embedding_requests_per_minute: float | None = Field(None, gt=0)
    """The most requests per minute; unset: the limit that the service reports."""
    embedding_tokens_per_minute: float | None = Field(None, gt=0)
    """The most tokens per minute; unset: the limit that the service reports."""
    embedding_timeout_seconds: float = Field(60, gt=0, le=86_400)
    """Longest wait for the answer to one request."""
    embedding_patience_seconds: float = Field(120, gt=0, le=86_400)
    """How many seconds the service may fail before the run goes on with the vectors that exist."""
    embedding_batch_wait_minutes: float = Field(0, ge=0, le=10_080)
    """Provider `openai-batch`: how many minutes a run waits for the batches that it has submitted."""
    embedding_batch_enqueued_tokens: int | None = Field(None, gt=0)
    """Provider `openai-batch`: the most tokens in unfinished batches, if the service has such a limit; unset:
    no limit."""

    # --- Models ---
    models: list[Family] = ["popularity", "llmseqsim", "vsknn", "ease", "llm2sasrec", "fusion"]
    """Model families that are trained and compared each night, each named once."""
    parameters: dict[Family, dict[str, Any]] = {}
    """Hyper-parameters by model family; they replace the family's defaults (`docs/models.md`)."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of every random choice: the same data and the same seed give the same tables."""
    retrain_after_days: float = Field(7, ge=0, le=3653)
    """Age in days at which a model is trained again. When one family is trained because of its age, the others are
    too. A run at the same time each day finds models a little younger than whole days: 6.5 trains every seventh night,
    0.5 every night."""
    training_minutes: float | None = Field(None, gt=0, le=10_080)
    """The minutes that one run of the job train should take at most. Families that need more than what is left of them
    are left out, and come first in the next run (`docs/operations.md`); `popularity` is always trained. Unset: every
    family that is due is trained."""
    training_sequences: int | None = Field(None, ge=100, le=1_000_000_000)
    """The most sequences that models learn from, the newest first. So memory and time of a training don't grow with the
    shop's history (`docs/operations.md`). Test and validation cases stay the same. Unset: models learn from all
    training sequences."""
    models_kept: int = Field(3, ge=1, le=1_000_000)
    """The number of newest models of each family whose weights are kept."""

    # --- Language models of a service ---
    prompt_max_cost: float | None = Field(None, ge=0)
    """The most US dollars that all models of one job (train, evaluate, recommend, place, experiment) may spend together
    on the family `llmseqprompt`: on its provider `openai`, and on vectors of made-up names. Unset: nothing is bought,
    and the error states the cost."""
    prompt_prices: dict[str, LanguageModelPrices] = {}
    """Prices by base model; they replace those of `jobs/language_models/prices.py`."""

    # --- Evaluation ---
    protocol: Literal["cutoff", "paper"] = "cutoff"
    """How history is divided: `cutoff` trains before a date and tests after it; `paper` tests on the fifth of the
    sequences that ended last."""
    cutoff_at: datetime | None = None
    """Date of the protocol `cutoff`, in UTC unless it has a time zone; unset: the date after which the share
    `holdout_share` of all events in sequences lies."""
    holdout_share: float = Field(0.1, gt=0, lt=1)
    """Share of all events in sequences that the protocol `cutoff` holds out for the test."""
    validation_limit: int = Field(2000, gt=0, le=10_000_000)
    """The most validation cases. They are made of the newest training sequences, at most a tenth. They decide when
    training stops and which model is live; models are then fitted again with them."""
    selection_metric: Literal["ndcg", "hit_rate", "mrr"] = "ndcg"
    """Metric by which the live model is chosen, on lists of 20 items for the validation cases."""

    # --- Recommendations ---
    runs_kept: int = Field(3, ge=1, le=1_000_000)
    """The number of newest runs of the recommend job whose rows `ml.recommendations` keeps for comparison."""

    arms: ArmsSettings | None = None
    """An experiment: a share of visitors gets other lists, in all placements, so that one can tell what the model is
    worth: the table `[arms]` (below). Unset: everybody gets the model's lists."""

    # --- Placements ---
    placements: dict[str, PlacementSettings] = {}
    """Named lists with rules, beside `recommendations.visitor_recommendations`: each placement is a table
    `[placements.NAME]` (below)."""
    variant_column: str | None = Field(None, min_length=1)
    """Column or attribute of items in which variants of one item have the same value, such as `"parent_sku"`, for
    `one_per_variant`. Unset: brands, titles without colours and sizes, and embeddings tell which items are
    variants."""
    variant_min_cosine: float = Field(0.8, ge=0, le=1)
    """Least cosine between the embeddings of two items that are variants by their titles and brands."""

    # --- Values of dbt vars ---
    vars: dict[str, Any] = {}
    """Values of dbt vars, from the table `[vars]`."""

    @field_validator("models")
    @classmethod
    def _require_each_family_once(cls, families: list[Family]) -> list[Family]:
        if not families:
            raise ValueError("name one family at least, such as popularity")
        for family in families:
            if families.count(family) > 1:
                raise ValueError(f"{family} is named twice; name each family once")
        return families

    @field_validator("cutoff_at")
    @classmethod
    def _assume_utc(cls, moment: datetime | None) -> datetime | None:
        return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)

    @field_validator("attach")
    @classmethod
    def _check_database_names_and_complete_paths(
        cls, databases: dict[str, AttachedDatabase]
    ) -> dict[str, AttachedDatabase]:
        for name in databases:
            if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                raise ValueError(f"'{name}' is no name of a database: letters, digits and _ make one, such as shop")
        if len({name.lower() for name in databases}) < len(databases):
            raise ValueError("two databases have the same name; case doesn't count in SQL")
        return {name: database.with_absolute_path(settings_file().parent) for name, database in databases.items()}

    @field_validator("publish")
    @classmethod
    def _check_names_and_complete_target_paths(
        cls, publish_targets: dict[str, PublishTarget]
    ) -> dict[str, PublishTarget]:
        folder = settings_file().parent
        return {
            name: target.with_absolute_path(folder)
            for name, target in require_valid_target_names(publish_targets).items()
        }

    @field_validator("placements")
    @classmethod
    def _require_valid_placement_names(cls, placements: dict[str, PlacementSettings]) -> dict[str, PlacementSettings]:
        return require_valid_placement_names(placements)

    @model_validator(mode="after")
    def _require_trained_control_model(self) -> "Settings":
        if self.arms and self.arms.control_model not in ("popularity", *self.models):
            raise ValueError(
                f"[arms] control_model = '{self.arms.control_model}': the setting models lacks this family, so that no "
                "night trains it; add it there"
            )
        return self

    @model_validator(mode="after")
    def _require_lists_of_all_outcome_days(self) -> "Settings":
        if problem := self.problem_of_outcome_days(self.merged_vars()["outcome_days"]):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _require_usable_file_paths(self) -> "Settings":
        for name in ("warehouse", "published"):
            path = getattr(self, name)
            if not path.name:
                raise ValueError(f"setting '{name}' names no file")
            if os.path.isdir(path):  # noqa: PTH112 - no error where the name is too long
                raise ValueError(
                    f"setting '{name}' names a folder, {path}: name a file in it, such as {path}/{name}.duckdb"
                )
        if self.report is not None and self.report.suffix.lower() not in {".html", ".htm"}:
            raise ValueError(f"setting 'report' names an HTML file, which ends in .html, not '{self.report}'")
        absolute = str(self.warehouse.absolute())
        for sign in "#?;":
            if sign in absolute:  # dbt reads the path as an address, and these signs end an address's path
                raise ValueError(f"setting 'warehouse': dbt can't open a path with '{sign}' in it: {absolute}")
        if self.warehouse.resolve() == self.published.resolve():
            raise ValueError(
                f"settings 'warehouse' and 'published' name the same file, {self.published}: use two files"
            )
        return self

    @field_validator("vars")
    @classmethod
    def _check_and_complete_vars(cls, configured_vars: dict[str, Any]) -> dict[str, Any]:
        return check_and_complete_vars(configured_vars)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of settings, the strongest first: arguments, environment variables, ``nextmart.toml``."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file())

    def merged_vars(self) -> dict[str, Any]:
        """Return every dbt var with the user's values over the project's defaults."""
        return {**default_vars(), **self.vars}

    def problem_of_outcome_days(self, outcome_days: int) -> str:
        """Return why so many days can't have outcomes; an empty text if the lists of all these days are kept."""
        kept = self.published_lists_days
        if outcome_days <= kept:
            return ""
        return (
            f"the dbt var outcome_days is {outcome_days}, but the setting published_lists_days is {kept}: the lists of "
            f"earlier days are deleted. Set published_lists_days = {outcome_days}, or lower outcome_days under [vars] "
            f"to {kept}"
        )

    def job_vars(self) -> JobVars:
        """Return the dbt vars that jobs read, after checking all vars."""
        return all_vars(self.vars)

    def with_embedding_model(self, model_name: str | None, provider_name: str | None) -> "Settings":
        """Return settings with another embedding model or provider; None keeps the present model or provider."""
        dbt_vars = self.merged_vars()
        name = model_name or dbt_vars["embedding_model"]
        chosen: dict[str, Any] = {"embedding_model": name}
        if provider_name and name in dbt_vars["embedding_models"]:
            entry = {**dbt_vars["embedding_models"][name], "provider": provider_name}
            chosen["embedding_models"] = {**dbt_vars["embedding_models"], name: entry}
        return self.model_copy(update={"vars": {**self.vars, **chosen}})

    def as_environment(self) -> dict[str, str]:
        """Return the settings as environment variables, so that a job inside a dbt process reads the same values."""
        dumped = json.loads(self.model_dump_json(exclude_none=True, exclude={"feeds"}))  # no job reads feeds
        paths = {
            name: str(getattr(self, name).absolute())
            for name in ("warehouse", "published", "work_folder", "backup_folder")
        }
        return {
            PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
            for name, value in {**dumped, **paths}.items()
        }


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; each of ``overrides`` that is not None replaces the setting of its name.

    Raises
    ------
    UsageError
        If a setting is unknown (the error names the most similar one) or wrong, or ``nextmart.toml`` can't be read. The
        message says where the value stands and which values are allowed.
    """
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and name.upper() not in known:
            raise UsageError(f"unknown setting in the environment: {name}; {nearest_name_hint(name, known)}")
    overrides = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise UsageError(
            "\n".join(describe_setting_error(problem, overrides, Settings) for problem in error.errors())
        ) from error
    except SettingsError as error:  # an environment variable that holds a list or table is not valid JSON
        raise UsageError(f"{error}; lists and tables are written as JSON in a variable") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{settings_file()} is not valid TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{settings_file()} can't be read: {error}; it is a text file in UTF-8") from error
    except UsageError as error:
        raise UsageError(f"{origin_of_value('vars', overrides)}{error}") from error
