"""Settings: ``nextmart.toml`` in the working folder, overridden by ``NEXTMART_*`` environment variables.

What SQL reads is a dbt var: it is described in ``dbt_project/dbt_project.yml`` and set under ``[vars]``. What only jobs
read is a field here. The text below a field is its description in ``docs/settings.md``, which ``make docs`` writes.
Secrets (``OPENAI_API_KEY``) are never settings.
"""

import json
import os
import tomllib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from jobs.errors import UsageError, nearest
from jobs.families import Family
from jobs.files import project_folder

FILE_NAME = "nextmart.toml"
PREFIX = "NEXTMART_"
NOT_SETTINGS = {
    "NEXTMART_DATA": "Folder of the real data sets that tests, benchmarks and examples read.",
    "NEXTMART_DEBUG": "Any value: an error shows its traceback.",
}
"""Variables with the prefix that are no settings, each with its meaning."""


class EmbeddingModel(BaseModel):
    """One entry of the var ``embedding_models``."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True)

    name: str
    """The entry's own name, under which `ml.embeddings` keeps the vectors; not written in the entry."""
    model: str
    """What the provider calls the model; the entry's name unless given."""
    provider: str
    """How vectors are made: `local`, `openai` or `openai-batch`, a file of `jobs/embedding/providers`."""
    dimensions: int = Field(gt=0)
    """Length of a vector."""
    price: float | None = Field(None, ge=0)
    """US dollars a million tokens; unset: unknown."""

    @property
    def key(self) -> dict[str, str | int]:
        """What its rows are known by, as parameters of a query."""
        return {"embedding_model": self.name, "dimensions": self.dimensions}


class PromptPrice(BaseModel):
    """What a fine-tuned language model costs, in US dollars a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    training: float = Field(ge=0)
    """Price of training, for each epoch."""
    input: float = Field(ge=0)
    """Price of questions to the fine-tuned model."""
    output: float = Field(ge=0)
    """Price of the fine-tuned model's answers."""


class Vars(BaseModel):
    """The dbt vars that jobs read too; their defaults stand in ``dbt_project.yml`` alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sequence_scope: Literal["session", "visitor", "user"]
    sequence_event_types: list[str]
    collapse_repeats: bool
    embedding_model: str
    embedding_models: dict[str, dict[str, Any]]
    recommendations_per_visitor: int = Field(gt=0)
    similar_items_per_item: int = Field(gt=0)
    allow_repeats: bool

    @property
    def embedding(self) -> EmbeddingModel:
        """The embedding model that is set.

        Raises
        ------
        UsageError
            If it is none of ``embedding_models``, or its entry there is wrong.
        """
        name = self.embedding_model
        if name not in self.embedding_models:
            raise UsageError(
                f"embedding_model '{name}' is none of embedding_models: {nearest(name, self.embedding_models)} "
                f'For one of yours add [vars.embedding_models."{name}"] to {FILE_NAME}, with provider and dimensions.'
            )
        try:
            return EmbeddingModel(**{"name": name, "model": name, **self.embedding_models[name]})
        except ValidationError as error:
            raise UsageError(_explain(error, f"embedding_models.{name}.")) from error


class Settings(BaseSettings):
    """What only jobs need to know. Every field can be set in the file or the environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        toml_file=FILE_NAME,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
        use_attribute_docstrings=True,
    )

    # --- Files ---
    warehouse: Path = Path("warehouse.duckdb")
    """DuckDB file of the warehouse. It can't have the name of one of its schemas, such as `raw.duckdb`."""
    published: Path = Path("published.duckdb")
    """DuckDB file that readers open."""
    work_folder: Path = Path(".nextmart")
    """Folder of dbt's artefacts and log, of training checkpoints, and of experiments' reports."""

    # --- Embedding ---
    embedding_batch_size: int = Field(256, gt=0)
    """Most texts of one request; their vectors are committed together."""
    embedding_too_long: Literal["truncate", "fail"] = "truncate"
    """What happens to a text over the model's limit: it is cut, or left out. Either way it is labelled."""
    embedding_requests_in_flight: int = Field(8, ge=1, le=256)
    """Most requests to a service that are under way together."""
    embedding_requests_per_minute: float | None = Field(None, gt=0)
    """Most requests a minute; unset: what the service says that it allows."""
    embedding_tokens_per_minute: float | None = Field(None, gt=0)
    """Most tokens a minute; unset: what the service says that it allows."""
    embedding_timeout_seconds: float = Field(60, gt=0)
    """Longest wait for the answer to one request."""
    embedding_patience_seconds: float = Field(120, gt=0)
    """How long the service may fail before the run goes on with the vectors that exist."""
    embedding_batch_wait_minutes: float = Field(0, ge=0)
    """Provider `openai-batch`: how long a run waits for the batches that it has handed in."""
    embedding_batch_enqueued_tokens: int | None = Field(None, gt=0)
    """Provider `openai-batch`: most tokens under way together, where the service has a limit; unset: no limit."""

    # --- Models ---
    models: list[Family] = ["popularity", "llmseqsim", "bert4rec", "llm2bert4rec"]
    """Families that are trained and compared each night, each named once."""
    parameters: dict[Family, dict[str, Any]] = {}
    """Hyper-parameters by family, over the family's defaults (`docs/models.md`)."""
    seed: int = Field(0, ge=0)
    """Decides everything random: same data, same seed, same tables."""
    retrain_after_days: float = Field(7, ge=0)
    """How long a model stays fresh. When one is too old, the other families are trained with it."""
    models_kept: int = Field(3, ge=1)
    """Versions of each family whose weights are kept."""

    # --- Language models of a service ---
    prompt_max_cost: float | None = Field(None, ge=0, allow_inf_nan=False)
    """US dollars that all models of one job (train, evaluate, recommend, experiment) may spend together on
    llmseqprompt's provider `openai`. Unset: nothing is bought, and the error says what it would cost."""
    prompt_prices: dict[str, PromptPrice] = {}
    """Prices by base model, over the known ones of `jobs/language_models/prices.py`."""

    # --- Evaluation ---
    protocol: Literal["cutoff", "paper"] = "cutoff"
    """How history is divided: `cutoff` trains before a date and tests after it; `paper` tests on the fifth of the
    sequences that ended last."""
    cutoff_at: datetime | None = None
    """Date of the cutoff protocol, UTC unless it has a zone; unset: the date after which `holdout_share` of the steps
    of sequences lie."""
    holdout_share: float = Field(0.1, gt=0, lt=1)
    """Share of the steps of sequences that the cutoff protocol holds out for the test."""
    validation_limit: int = Field(2000, gt=0)
    """Most validation cases. They are the newest tenth of the training sequences, at most; they decide when to stop
    training and which model is live, and models then learn from them too."""
    selection_metric: Literal["ndcg", "hit_rate", "mrr"] = "ndcg"
    """Metric that chooses the live model, at 20, on the validation cases."""

    # --- Recommendations ---
    runs_kept: int = Field(3, ge=1)
    """Runs of recommendations that `ml.recommendations` keeps for comparison."""

    # --- Vars ---
    vars: dict[str, Any] = {}
    """Values of dbt vars: the table `[vars]`."""

    @field_validator("models")
    @classmethod
    def _each_once(cls, value: list[Family]) -> list[Family]:
        if not value:
            raise ValueError("name one family at least, such as popularity")
        for family in value:
            if value.count(family) > 1:
                raise ValueError(f"{family} is named twice; name each family once")
        return value

    @field_validator("cutoff_at")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)

    @field_validator("vars")
    @classmethod
    def _known_vars(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name not in default_vars():
                raise ValueError(f"unknown dbt var '{name}': {nearest(name, default_vars())}")
        models = value.get("embedding_models", {})
        if not isinstance(models, dict) or not all(isinstance(entry, dict) for entry in models.values()):
            raise ValueError("embedding_models holds tables, such as {your-model: {provider: openai, dimensions: 768}}")
        # entries are added to the known ones, and change them
        known = default_vars()["embedding_models"]
        merged = {**known, **{name: {**known.get(name, {}), **entry} for name, entry in models.items()}}
        return {**value, "embedding_models": merged} if models else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, and neither read dotenv nor secret files."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def merged_vars(self) -> dict[str, Any]:
        """Return every dbt var with the user's values over the project's defaults."""
        return {**default_vars(), **self.vars}

    def job_vars(self) -> Vars:
        """Return the dbt vars that jobs read, checked."""
        try:
            return Vars(**self.merged_vars())
        except ValidationError as error:
            raise UsageError(_explain(error)) from error

    def with_embedding(self, model: str | None, provider: str | None) -> "Settings":
        """Return settings with another embedding model, or another provider of it."""
        dbt_vars = self.merged_vars()
        name = model or dbt_vars["embedding_model"]
        chosen: dict[str, Any] = {"embedding_model": name}
        if provider and name in dbt_vars["embedding_models"]:
            entry = {**dbt_vars["embedding_models"][name], "provider": provider}
            chosen["embedding_models"] = {**dbt_vars["embedding_models"], name: entry}
        return self.model_copy(update={"vars": {**self.vars, **chosen}})

    def as_environment(self) -> dict[str, str]:
        """Return these settings as variables, so that a job inside a dbt process sees the same ones."""
        dumped = json.loads(self.model_dump_json(exclude_none=True))
        paths = {name: str(getattr(self, name).absolute()) for name in ("warehouse", "published", "work_folder")}
        return {
            PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
            for name, value in {**dumped, **paths}.items()
        }


@cache
def default_vars() -> dict[str, Any]:
    """Read the dbt vars and their defaults from ``dbt_project.yml``."""
    text = (project_folder("dbt_project") / "dbt_project.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["vars"])


def load_settings(**overrides: Any) -> Settings:
    """Read settings; ``overrides`` that are not None win.

    Raises
    ------
    UsageError
        For an unknown key (naming the nearest known one), a value of the wrong type, a broken file.
    """
    unknown = {
        name
        for name in os.environ
        if name.startswith(PREFIX)
        and name not in NOT_SETTINGS
        and name[len(PREFIX) :].lower() not in Settings.model_fields
    }
    for name in sorted(unknown):
        known = [PREFIX + field.upper() for field in Settings.model_fields]
        raise UsageError(f"unknown setting in the environment: {name}; {nearest(name, known)}")
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise UsageError(_explain(error)) from error
    except SettingsError as error:  # a variable whose value should be JSON and isn't
        raise UsageError(f"{error}; lists and tables are written as JSON in a variable") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{FILE_NAME} is not valid TOML: {error}") from error


def _explain(error: ValidationError, prefix: str = "") -> str:
    lines = []
    for problem in error.errors():
        name = prefix + ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden" and prefix:
            lines.append(f"unknown setting '{name}': {nearest(name.removeprefix(prefix), EmbeddingModel.model_fields)}")
        elif problem["type"] == "extra_forbidden":
            lines.append(f"unknown setting '{name}' in {FILE_NAME}: {nearest(name, Settings.model_fields)}")
        else:
            lines.append(f"setting '{name}': {problem['msg']} (got {problem['input']!r})")
    return "\n".join(lines)
