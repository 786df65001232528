"""The experiment file: reading and checking its TOML, and the models that it defines."""

import itertools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from jobs.errors import UsageError, nearest_name_hint
from jobs.evaluation.protocols import Protocol
from jobs.families import Family, require_known_family
from jobs.models.registry import FAMILIES, make_model, require_valid_hyperparameter


class SpecTable(BaseModel):
    """A TOML table of the experiment file; unknown keys in it are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelEntry(SpecTable):
    """An entry of ``[[models]]``: a family with parameters, or with a grid of parameters.

    Attributes
    ----------
    label : str
        The model's name in the report; by default the family. The values of a grid are added to it.
    grid : parameter -> values
        The values to combine; every combination is a model.
    embedding_model : str, optional
        One of the dbt var ``embedding_models``; by default the one that the warehouse serves.
    training_sequences : list of int
        Numbers of sequences to learn from, the newest ones. Each number is a model of its own, with the number in its
        label. By default the model learns from as many sequences as the setting ``training_sequences`` allows.
    item_text_template : list of str, optional
        A template of item texts, written like the dbt var ``item_text_template``; by default the warehouse's texts are
        used. The experiment buys the vectors of other texts.
    """

    family: Family
    # a label has no / and no |, because these divide a model_version and a row of a Markdown table
    label: str = Field("", pattern=r"^[^/|]*$")
    parameters: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    training_sequences: list[Annotated[int, Field(gt=0)]] = []
    embedding_model: str | None = None
    item_text_template: list[str] | None = Field(None, min_length=1)

    def make_variant(self, grid_values: Mapping[str, Any], training_sequences: int | None = None) -> "ModelVariant":
        """Return the model of this entry, with one combination of the grid's values among its parameters."""
        in_label = {**grid_values, **({"training_sequences": training_sequences} if training_sequences else {})}
        words = [f"{name}={value}" for name, value in in_label.items()]
        return ModelVariant(
            " ".join([self.label or self.family, *words]),
            self.family,
            {**self.parameters, **grid_values},
            self.embedding_model,
            tuple(self.item_text_template) if self.item_text_template else None,
            training_sequences,
        )


class ValueRange(SpecTable):
    """A range of numbers from ``low`` to ``high``, both included; with ``log``, the search draws on a log scale."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _require_ordered_bounds(self) -> Self:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low <= high, and low > 0 with log")
        return self


Values = Annotated[
    Annotated[ValueRange, Tag("range")] | Annotated[list[Any], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "range"),
]


class SearchSpec(SpecTable):
    """The table ``[search]``: the number of trials, and the values to try for the parameters of each family.

    Parameters that are not searched, and the embeddings, are those of the family's first entry in ``[[models]]``, or
    the defaults if the family has no entry.

    Attributes
    ----------
    trials : int
        The number of trials of each family.
    space : family -> parameter -> values
        The values to try: a list, or a range.
    """

    trials: int = Field(30, gt=0)
    seed: int = 0
    space: dict[str, dict[str, Values]]

    @field_validator("space")
    @classmethod
    def _require_valid_space(cls, space_by_family: dict[str, Any]) -> dict[str, Any]:
        for family, space in space_by_family.items():
            require_known_family(family)
            for name, values in space.items():
                _require_valid_parameter_values(family, name, values)
        return space_by_family


@dataclass(frozen=True)
class ModelVariant:
    """One model of an experiment, with its parameters and embeddings but without a seed."""

    label: str
    family: str
    parameters: dict[str, Any]
    embedding_model: str | None = None
    item_text_template: tuple[str, ...] | None = None
    training_sequences: int | None = None


class ExperimentSpec(SpecTable):
    """What an experiment compares, as the experiment file defines it.

    Attributes
    ----------
    name : str
        The name under which runs are recorded; another file with this name shares these runs.
    baseline : str, optional
        The label of the model with which the others are compared.
    metric, k
        The metric, and its cut-off, by which models are compared.
    test_limit : int
        The most test cases to measure on; 0 means all. They are drawn at random, and are the same for all models.
    sample : float
        Share of the shop's sequences that the experiment uses, to show what a smaller shop would get. They are drawn at
        random, and are the same for all models.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    protocol: Protocol = "cutoff"
    seeds: list[int] = Field([0], min_length=1)
    baseline: str | None = None
    metric: Literal["ndcg", "hit_rate", "mrr"] = "ndcg"
    k: Literal[10, 20] = 20
    test_limit: int = Field(0, ge=0)
    sample: float = Field(1.0, gt=0, le=1)
    models: list[ModelEntry] = []
    search: SearchSpec | None = None

    @field_validator("seeds")
    @classmethod
    def _require_distinct_seeds(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError("seeds are distinct and not negative")
        return seeds

    @model_validator(mode="after")
    def _require_models_with_distinct_labels(self) -> Self:
        if not self.models and not self.search:
            raise ValueError("nothing to do: the file needs [[models]], a [search], or both")
        labels = [variant.label for variant in self.variants()]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two models are labelled '{label}': give each entry a label of its own")
        if self.baseline is not None and self.baseline not in labels:
            raise ValueError(
                f"the baseline '{self.baseline}' is no model's label: {nearest_name_hint(self.baseline, labels)}"
            )
        return self

    def variants(self) -> list[ModelVariant]:
        """Return every model in the file's order.

        A grid gives a model for each combination of its values, and ``training_sequences`` one for each number.
        """
        return [
            entry.make_variant(dict(zip(entry.grid, values, strict=True)), training_sequences)
            for entry in self.models
            for values in itertools.product(*entry.grid.values())
            for training_sequences in tuple(entry.training_sequences) or (None,)
        ]

    def starting_variant(self, family: str) -> ModelVariant:
        """Return the model with which a search for a family's parameters starts.

        It has the parameters of the family's first ``[[models]]`` entry in the file, without the entry's ``grid`` and
        ``training_sequences``. If the family has no entry, all parameters have their defaults. The search replaces some
        of the parameters.
        """
        return next(
            (entry.make_variant({}) for entry in self.models if entry.family == family),
            ModelVariant(family, family, {}),
        )


def read_experiment(path: Path) -> ExperimentSpec:
    """Read and check the file of an experiment.

    Raises
    ------
    UsageError
        If the file is absent or no TOML, or has an unknown key, family, parameter or baseline (the message names the
        nearest known one), or a value of the wrong type.
    """
    try:
        experiment = ExperimentSpec(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read the experiment {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise UsageError("\n".join(f"{path}: {_explain_error(problem)}" for problem in error.errors())) from error
    for variant in experiment.variants():
        try:
            # make_model checks the parameters, so that wrong parameters are an error before anything is fitted
            model = make_model(variant.family, variant.parameters)
        except UsageError as error:
            raise UsageError(f"{path}: model '{variant.label}': {error}") from error
        if (variant.embedding_model or variant.item_text_template) and not model.uses_embeddings:
            raise UsageError(f"{path}: model '{variant.label}': {variant.family} reads no embeddings of item texts")
    return experiment


def _require_valid_parameter_values(family: str, parameter_name: str, parameter_values: ValueRange | list[Any]) -> None:
    """Raise an error if one of the values to try for a parameter is not allowed.

    Raises
    ------
    ValueError
        If the family has no such parameter, or the parameter can't have one of the values.
    """
    defaults = FAMILIES[family].defaults
    if parameter_name not in defaults:
        raise ValueError(
            f"unknown parameter '{parameter_name}' of {family}: {nearest_name_hint(parameter_name, defaults)}"
        )
    if isinstance(parameter_values, ValueRange):
        if type(defaults[parameter_name]) not in (int, float):
            raise ValueError(f"'{parameter_name}' of {family} is no number: list its values")
        if type(defaults[parameter_name]) is int and not (
            type(parameter_values.low) is int and type(parameter_values.high) is int
        ):
            raise ValueError(f"'{parameter_name}' of {family} is a whole number, and so are the ends of its range")
        parameter_values = [parameter_values.low, parameter_values.high]
    if not parameter_values:
        raise ValueError(f"'{parameter_name}' of {family} has no values to choose from")
    for value in parameter_values:
        try:
            # each parameter is checked by itself, because the search may change the other parameters too
            require_valid_hyperparameter(family, parameter_name, value)
        except UsageError as error:
            raise ValueError(str(error)) from error


def _explain_error(pydantic_error: Any) -> str:
    """Return a message for people about one error that pydantic found."""
    place = [part for part in pydantic_error["loc"] if part not in ("range", "list")]
    name = ".".join(str(part) for part in place)
    if pydantic_error["type"] == "extra_forbidden":
        tables = {"models": ModelEntry, "search": ValueRange if "space" in place else SearchSpec}
        table = tables.get(str(place[0]), ExperimentSpec) if len(place) > 1 else ExperimentSpec
        return f"unknown key '{name}': {nearest_name_hint(str(place[-1]), table.model_fields)}"
    if pydantic_error["type"] == "value_error":
        return f"{name + ': ' if name else ''}{pydantic_error['ctx']['error']}"
    if pydantic_error["type"] == "missing":
        return f"'{name}' is missing"
    return f"'{name}': {pydantic_error['msg']} (got {json.dumps(pydantic_error['input'], default=str)})"
