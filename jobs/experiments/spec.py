"""The experiment file: reading and checking its TOML, and the models that it defines."""

import itertools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from jobs.errors import UsageError, nearest
from jobs.evaluation.protocols import Protocol
from jobs.families import Family, known_family
from jobs.models.registry import FAMILIES, check, make


class Table(BaseModel):
    """A table of the experiment file, in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(Table):
    """An entry of ``[[models]]``: a family with parameters, or with a grid of parameters.

    Attributes
    ----------
    label : str
        The model's name in the report; by default the family. If there is a grid, its values are added to the label.
    grid : parameter -> values
        The values to combine; every combination is a model.
    embedding_model : str, optional
        One of the dbt var ``embedding_models``; by default the one that the warehouse serves.
    item_text_template : list of str, optional
        A template of item texts, written like the dbt var ``item_text_template``; by default the warehouse's texts are
        used. The experiment buys the vectors of other texts.
    """

    family: Family
    label: str = Field("", pattern=r"^[^/|]*$")  # a label stands in model versions and in a Markdown table
    parameters: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    embedding_model: str | None = None
    item_text_template: list[str] | None = Field(None, min_length=1)

    def variant(self, chosen: Mapping[str, Any]) -> "Variant":
        """Return the model of this entry with one combination of the grid's values, ``chosen`` (parameter -> value)."""
        words = [f"{name}={value}" for name, value in chosen.items()]
        return Variant(
            " ".join([self.label or self.family, *words]),
            self.family,
            {**self.parameters, **chosen},
            self.embedding_model,
            tuple(self.item_text_template) if self.item_text_template else None,
        )


class Range(Table):
    """A range of numbers from ``low`` to ``high``, both included; ``log``: values are drawn on a logarithmic scale."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low <= high, and low > 0 with log")
        return self


Values = Annotated[
    Annotated[Range, Tag("range")] | Annotated[list[Any], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "range"),
]


class Search(Table):
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
    def _check_parameters(cls, value: dict[str, Any]) -> dict[str, Any]:
        for family, space in value.items():
            known_family(family)
            for name, values in space.items():
                _check_space(family, name, values)
        return value


@dataclass(frozen=True)
class Variant:
    """One model of an experiment, with its parameters and embeddings but without a seed."""

    label: str
    family: str
    parameters: dict[str, Any]
    embedding_model: str | None = None
    item_text_template: tuple[str, ...] | None = None


class Experiment(Table):
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
        The most test cases to measure on; 0: all. They are drawn at random, and are the same for all models.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    protocol: Protocol = "cutoff"
    seeds: list[int] = Field([0], min_length=1)
    baseline: str | None = None
    metric: Literal["ndcg", "hit_rate", "mrr"] = "ndcg"
    k: Literal[10, 20] = 20
    test_limit: int = Field(0, ge=0)
    models: list[Entry] = []
    search: Search | None = None

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, value: list[int]) -> list[int]:
        if len(set(value)) < len(value) or min(value) < 0:
            raise ValueError("seeds are distinct and not negative")
        return value

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if not self.models and not self.search:
            raise ValueError("nothing to do: the file needs [[models]], a [search], or both")
        labels = [variant.label for variant in self.variants()]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two models are labelled '{label}': give each entry a label of its own")
        if self.baseline is not None and self.baseline not in labels:
            raise ValueError(f"the baseline '{self.baseline}' is no model's label: {nearest(self.baseline, labels)}")
        return self

    def variants(self) -> list[Variant]:
        """Return every model in the order of the file; a grid gives every combination, the last parameter fastest."""
        return [
            entry.variant(dict(zip(entry.grid, values, strict=True)))
            for entry in self.models
            for values in itertools.product(*entry.grid.values())
        ]

    def base(self, family: str) -> Variant:
        """Return the model that gives a search of the family the values of parameters that are not searched.

        It is the family's first entry without its grid, or a model of default parameters if the family has no entry.
        """
        return next((entry.variant({}) for entry in self.models if entry.family == family), Variant(family, family, {}))


def read_experiment(path: Path) -> Experiment:
    """Read and check the file of an experiment.

    Raises
    ------
    UsageError
        If the file is absent or no TOML, or has an unknown key, family, parameter or baseline (the message names the
        nearest known one), or a value of the wrong type.
    """
    try:
        experiment = Experiment(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read the experiment {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise UsageError("\n".join(f"{path}: {_explain(problem)}" for problem in error.errors())) from error
    for variant in experiment.variants():
        try:
            model = make(
                variant.family, variant.parameters
            )  # raises an error about wrong parameters before anything is fitted
        except UsageError as error:
            raise UsageError(f"{path}: model '{variant.label}': {error}") from error
        if (variant.embedding_model or variant.item_text_template) and not model.uses_embeddings:
            raise UsageError(f"{path}: model '{variant.label}': {variant.family} reads no embeddings of item texts")
    return experiment


def _check_space(family: str, name: str, values: Range | list[Any]) -> None:
    """Check the values to try for one parameter.

    Raises
    ------
    ValueError
        If the family has no such parameter, or the parameter can't have one of the values.
    """
    defaults = FAMILIES[family].defaults
    if name not in defaults:
        raise ValueError(f"unknown parameter '{name}' of {family}: {nearest(name, defaults)}")
    if isinstance(values, Range):
        if type(defaults[name]) not in (int, float):
            raise ValueError(f"'{name}' of {family} is no number: list its values")
        if type(defaults[name]) is int and not (type(values.low) is int and type(values.high) is int):
            raise ValueError(f"'{name}' of {family} is a whole number, and so are the ends of its range")
        values = [values.low, values.high]
    if not values:
        raise ValueError(f"'{name}' of {family} has no values to choose from")
    for value in values:
        try:
            check(family, name, value)  # other parameters are not checked with it, because they may be searched too
        except UsageError as error:
            raise ValueError(str(error)) from error


def _explain(problem: Any) -> str:
    """Return a message for people about one error that pydantic found."""
    place = [part for part in problem["loc"] if part not in ("range", "list")]
    name = ".".join(str(part) for part in place)
    if problem["type"] == "extra_forbidden":
        tables = {"models": Entry, "search": Range if "space" in place else Search}
        table = tables.get(str(place[0]), Experiment) if len(place) > 1 else Experiment
        return f"unknown key '{name}': {nearest(str(place[-1]), table.model_fields)}"
    if problem["type"] == "value_error":
        return f"{name + ': ' if name else ''}{problem['ctx']['error']}"
    if problem["type"] == "missing":
        return f"'{name}' is missing"
    return f"'{name}': {problem['msg']} (got {json.dumps(problem['input'], default=str)})"
