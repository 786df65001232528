"""Hyper-parameters that a fit chooses itself, because they were not given: the choice, and how it is stored."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from jobs.core.arrays import Doubles, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.models.scorer import case_ndcgs

if TYPE_CHECKING:
    from jobs.models.base import Model

CHOSEN_PREFIX: Final = "chosen."
"""The names of a state's arrays that hold chosen values begin with this."""

RECENCY_FACTORS: Final = (0.0, 0.5, 1.0)
"""The weights of the recency correction that are tried, as multiples of the family's default."""


def beats_by_more_than_chance(values: Doubles, other_values: Doubles) -> bool:
    """Return whether the mean of values exceeds that of paired values by more than a standard error of the difference.

    One standard error suffices, instead of the usual two, because a wrong choice between near values costs little.
    """
    differences = values - other_values
    return bool(differences.mean() > differences.std(ddof=1) / np.sqrt(len(differences))) if len(values) > 1 else False


def choose_parameter_value(
    default_value: Any, values_to_try: Iterable[Any], score_cases: Callable[[Any], Doubles]
) -> Any:
    """Return the value with the best mean score if it beats the default by more than chance, else the default.

    Parameters
    ----------
    score_cases : value -> float64 array (cases,)
        Computes the score of each validation case for a value; higher is better.
    """
    default_scores = score_cases(default_value)
    best, best_mean = default_value, float(default_scores.mean())
    for value in values_to_try:
        if value != default_value:
            scores = score_cases(value)
            if scores.mean() > best_mean and beats_by_more_than_chance(scores, default_scores):
                best, best_mean = value, float(scores.mean())
    return best


def choose_recency_weight(model: "Model", validation: Cases, catalog: Catalog, allow_repeats: bool) -> None:
    """Choose the weight of a fitted model's recency correction on the validation cases, if it was not given.

    The correction only changes the scores of a fitted model, so that nothing is fitted again. Where the model's data
    differ from the validation cases in time, as on a shop with a history, a weight above 0 wins; where they don't, as
    under the protocol leave-one-out, 0 wins.
    """
    if "recency" not in model.parameters_to_choose or not len(validation.targets):
        return
    default = model.parameters["recency"]

    def score_cases(weight: float) -> Doubles:
        model.chosen_parameters["recency"] = weight
        return case_ndcgs(model.scorer(catalog), validation, allow_repeats)

    model.chosen_parameters["recency"] = choose_parameter_value(
        default, [factor * default for factor in RECENCY_FACTORS], score_cases
    )


def chosen_parameters_to_state(chosen: Mapping[str, Any]) -> State:
    """Return chosen values as named arrays: each holds a value's text in UTF-8."""
    return {f"{CHOSEN_PREFIX}{name}": np.frombuffer(str(value).encode(), np.uint8) for name, value in chosen.items()}


def chosen_parameters_from_state(state: State, parameters: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the chosen values of a stored state; a model that was stored without them has those of ``parameters``."""
    return {
        name: type(parameters[name])(state[CHOSEN_PREFIX + name].tobytes().decode())
        if CHOSEN_PREFIX + name in state
        else parameters[name]
        for name in names
    }
