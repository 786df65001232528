"""The dbt vars, which are the settings that SQL reads, with their types and allowed values.

``dbt_project.yml`` gives their defaults and meanings, and :class:`AllDbtVars` their types and ranges, from which error
messages and ``docs/settings.md`` are made.
"""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal

import duckdb
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from jobs.allowed_setting_values import allowed_values_in_words
from jobs.errors import UsageError, nearest_name_hint
from jobs.files import project_folder

EVENT_IDENTITIES = (["event_id"], ["event_id", "item_id"])
"""The values that the dbt var ``event_identity`` may have: the columns that make two rows the same event."""

ITEM_TEXT_FIELDS = ("title", "brand", "category", "description")
"""The fields that a part of the dbt var ``item_text_template`` may name."""

TEN_YEARS_IN_DAYS = 3653


def _require_known_event_identity(columns: list[str]) -> list[str]:
    if columns not in EVENT_IDENTITIES:
        raise ValueError(f"use {' or '.join(json.dumps(identity) for identity in EVENT_IDENTITIES)}")
    return columns


def _require_valid_time(text: str) -> str:
    try:
        datetime.fromisoformat(text)
        # ISO 8601 has forms, such as 1995-W01-1, that DuckDB can't read
        duckdb.execute("select ?::timestamptz", [text])
    except (ValueError, duckdb.Error):
        raise ValueError("write a time such as 1995-01-01 or 1995-01-01 12:00:00+00:00") from None
    return text


def _require_regular_expression(pattern: str) -> str:
    try:
        duckdb.execute("select regexp_matches('', ?)", [pattern])
    except duckdb.Error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


def _require_sql_condition(condition: str) -> str:
    try:
        statements = duckdb.extract_statements(f"select ({condition}\n)")
    except duckdb.Error as error:
        raise ValueError(f"is no SQL condition: {error}") from None
    if len(statements) != 1:
        raise ValueError("is no SQL condition: write one expression, without a semicolon")
    return condition


def _require_visitor_attribute_name(name: str) -> str:
    if not name or '"' in name:
        raise ValueError("write the name of an attribute in raw.visitors, such as country")
    if name == "category":
        raise ValueError("the segments of trending_items that begin with category= are those of the items' categories")
    return name


def _require_text_template(template_parts: list[str]) -> list[str]:
    for part in template_parts:
        fields = re.findall(r"\{(.*?)(?:\}|$)", part)
        if not fields:
            raise ValueError(f"the part '{part}' names no field, such as {{title}}")
        for field in fields:
            if field not in ITEM_TEXT_FIELDS or f"{{{field}}}" not in part:
                known = ", ".join(f"{{{name}}}" for name in ITEM_TEXT_FIELDS)
                raise ValueError(f"'{{{field}' in the part '{part}' is no field; there are {known}")
    return template_parts


EventIdentity = Annotated[
    list[str],
    AfterValidator(_require_known_event_identity),
    WithJsonSchema({"enum": [list(columns) for columns in EVENT_IDENTITIES]}),
]
Time = Annotated[str, AfterValidator(_require_valid_time), WithJsonSchema({"type": "string", "format": "date-time"})]
RegularExpression = Annotated[
    str,
    Field(min_length=1),
    AfterValidator(_require_regular_expression),
    WithJsonSchema({"format": "regular expression", "minLength": 1}),
]
SqlCondition = Annotated[str, AfterValidator(_require_sql_condition), WithJsonSchema({"format": "SQL"})]
TextTemplate = Annotated[list[str], Field(min_length=1), AfterValidator(_require_text_template)]
Name = Annotated[str, Field(min_length=1)]
Minutes = Annotated[float, Field(gt=0, le=TEN_YEARS_IN_DAYS * 1440)]
TolerableMinutes = Annotated[float, Field(ge=0, le=TEN_YEARS_IN_DAYS * 1440)]
Days = Annotated[float, Field(ge=0, le=TEN_YEARS_IN_DAYS)]
WholeDays = Annotated[int, Field(ge=1, le=TEN_YEARS_IN_DAYS)]
Percent = Annotated[float, Field(ge=0, le=100)]
AttributeName = Annotated[
    str,
    AfterValidator(_require_visitor_attribute_name),
    WithJsonSchema({"format": "name of an attribute", "minLength": 1}),
]
ListLength = Annotated[int, Field(gt=0, le=10_000)]


class EmbeddingModel(BaseModel):
    """An embedding model, as an entry of the dbt var ``embedding_models`` describes it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True, allow_inf_nan=False
    )

    name: str
    """The key of the entry, under which `ml.embeddings` keeps the vectors; it is no field of the entry itself."""
    model: str = Field(min_length=1)
    """The name by which the provider knows the model; by default the entry's name."""
    provider: str
    """The provider that makes the vectors: `local`, `openai` or `openai-batch`, files of `jobs/embedding/providers`."""
    dimensions: int = Field(gt=0, le=100_000)
    """Length of the model's vectors."""
    price: float | None = Field(None, ge=0)
    """Price in US dollars for each million tokens; unset: the price is unknown."""

    @property
    def values_of_key_columns(self) -> dict[str, str | int]:
        """The values that identify the model's rows in ``ml.embeddings``: column -> value, to be bound in a query."""
        return {"embedding_model": self.name, "dimensions": self.dimensions}


class JobVars(BaseModel):
    """The dbt vars that both SQL and jobs read, with their types and ranges; ``dbt_project.yml`` has their defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    null_words: list[str]
    price_decimal_sign: Literal[".", ","] | None
    availability_words: dict[str, bool]
    event_identity: EventIdentity
    max_source_session_hours: float = Field(gt=0, le=TEN_YEARS_IN_DAYS * 24)
    sequence_scope: Literal["session", "visitor", "user"]
    sequence_event_types: list[Name]
    target_event_types: list[Name]
    collapse_repeats: bool
    embedding_model: Name
    embedding_models: dict[str, dict[str, Any]]
    recommendations_per_visitor: ListLength
    similar_items_per_item: ListLength
    allow_repeats: bool

    @property
    def chosen_embedding_model(self) -> EmbeddingModel:
        """The embedding model that the dbt var ``embedding_model`` names.

        Raises
        ------
        UsageError
            If ``embedding_models`` has no such entry, or the entry is wrong.
        """
        name = self.embedding_model
        if name not in self.embedding_models:
            raise UsageError(
                f"embedding_model '{name}' is none of embedding_models: "
                f"{nearest_name_hint(name, self.embedding_models)} "
                f'For one of yours add [vars.embedding_models."{name}"] to nextmart.toml, with provider and dimensions.'
            )
        return _embedding_model(name, self.embedding_models[name])


class AllDbtVars(JobVars):
    """All dbt vars: those of ``JobVars``, which jobs read too, and those that SQL alone reads."""

    earliest_event_at: Time
    clock_skew_minutes: TolerableMinutes
    known_event_types: list[Name]
    arrival_overlap_minutes: TolerableMinutes
    max_events_per_build: int | None = Field(ge=1)
    max_rejected_share: float = Field(ge=0, le=1)
    late_event_minutes: TolerableMinutes
    lateness_window_days: Days
    late_warn_percent: Percent
    late_error_percent: Percent
    very_late_warn_percent: Percent
    late_sessions_warn_percent: Percent
    late_sessions_error_percent: Percent
    freshness_warn_days: WholeDays
    freshness_error_days: WholeDays | None
    bot_user_agents: RegularExpression
    bot_events_per_minute: float | None = Field(gt=0)
    bot_rule: SqlCondition
    session_gap_minutes: Minutes
    max_session_minutes: Minutes | None
    max_session_events: int | None = Field(ge=1)
    event_weights: dict[str, Annotated[float, Field(ge=0)]]
    max_text_characters: int = Field(ge=1, le=10_000_000)
    item_text_template: TextTemplate
    backlog_warn_percent: Percent
    backlog_error_percent: Percent | None
    backlog_warn_days: Days
    bought_event_types: list[Name]
    viewed_event_types: list[Name]
    together_items_per_session: int = Field(ge=2, le=1_000)
    together_min_sessions: int = Field(ge=1)
    together_items_per_item: ListLength
    trending_items_per_segment: ListLength
    trending_min_visitors: int = Field(ge=1)
    trending_attribute: AttributeName | None
    outcome_window_days: int = Field(ge=1, le=90)
    outcome_days: WholeDays


@cache
def default_vars() -> dict[str, Any]:
    """Read the dbt vars and their defaults from ``dbt_project.yml``."""
    text = (project_folder("dbt_project") / "dbt_project.yml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=yaml.CSafeLoader)["vars"])


def check_and_complete_vars(configured_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Check the vars that the user has set, and return them as dbt gets them.

    The user's entries of ``embedding_models`` are added to the default entries. A date or time of TOML becomes its
    text, because dbt's vars are JSON.

    Parameters
    ----------
    configured_vars : var -> value
        The vars that are set; the others keep their defaults.

    Raises
    ------
    UsageError
        If a var is unknown, or a value is not allowed; the message says which values are allowed.
    """
    for name in configured_vars:
        if name not in default_vars():
            raise UsageError(f"unknown dbt var '{name}': {nearest_name_hint(name, default_vars())}")
    completed = {
        name: value.isoformat() if isinstance(value, date) else value for name, value in configured_vars.items()
    }
    models = completed.get("embedding_models", {})
    if not isinstance(models, dict) or not all(isinstance(entry, dict) for entry in models.values()):
        raise UsageError(
            "setting 'vars.embedding_models': embedding_models holds tables, such as "
            "{your-model: {provider: openai, dimensions: 768}}"
        )
    if models:
        # the user's entries are added to the default entries; an entry named like a default one changes it
        known = default_vars()["embedding_models"]
        completed["embedding_models"] = {
            **known, **{name: {**known.get(name, {}), **entry} for name, entry in models.items()}
        }  # fmt: skip
    all_vars(completed)
    return completed


def all_vars(configured_vars: Mapping[str, Any]) -> AllDbtVars:
    """Check the vars that the user has set, and return every dbt var: the user's value, or else the default.

    Raises
    ------
    UsageError
        If a value is not allowed for its var.
    """
    try:
        dbt_vars = AllDbtVars(**{**default_vars(), **configured_vars})
    except ValidationError as error:
        raise UsageError("\n".join(_describe_var_error(problem) for problem in error.errors())) from error
    for name, entry in dbt_vars.embedding_models.items():
        _embedding_model(name, entry)
    _require_targets_in_sequences(dbt_vars)
    _ = dbt_vars.chosen_embedding_model  # the property raises an error if `embedding_models` has no such entry
    return dbt_vars


def _require_targets_in_sequences(dbt_vars: JobVars) -> None:
    """Raise UsageError if sequences leave out a type of ``target_event_types``, so that it would have no effect."""
    in_sequences = dbt_vars.sequence_event_types
    left_out = [name for name in dbt_vars.target_event_types if name not in in_sequences]
    if in_sequences and left_out:
        raise UsageError(
            f"setting 'vars.target_event_types': sequences leave out {', '.join(left_out)}, because "
            f"sequence_event_types is {json.dumps(in_sequences)}. Add {', '.join(left_out)} to sequence_event_types, "
            "or set it to [], so that models learn from events of every type"
        )


def _describe_var_error(pydantic_error: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in pydantic_error["loc"])
    return (
        f"setting 'vars.{name}': {pydantic_error['msg'].removeprefix('Value error, ')} "
        f"(got {pydantic_error['input']!r}); "
        f"allowed: {allowed_values_in_words(AllDbtVars, pydantic_error['loc'])}"
    )


def _embedding_model(name: str, entry: Mapping[str, Any]) -> EmbeddingModel:
    """Return the embedding model that an entry of ``embedding_models`` describes.

    Raises
    ------
    UsageError
        If a key is missing, unknown or wrong.
    """
    try:
        return EmbeddingModel(**{"name": name, "model": name, **entry})
    except ValidationError as error:
        raise UsageError(
            "\n".join(_describe_embedding_model_error(problem, name) for problem in error.errors())
        ) from error


def _describe_embedding_model_error(pydantic_error: Mapping[str, Any], entry_name: str) -> str:
    key = ".".join(str(part) for part in pydantic_error["loc"])
    name = f"setting 'vars.embedding_models.{entry_name}.{key}'"
    if pydantic_error["type"] == "extra_forbidden":
        return f"unknown {name}: {nearest_name_hint(key, EmbeddingModel.model_fields)}"
    allowed = allowed_values_in_words(EmbeddingModel, pydantic_error["loc"], mention_null=False)
    return f"{name}: {pydantic_error['msg']} (got {pydantic_error['input']!r}); allowed: {allowed}"
