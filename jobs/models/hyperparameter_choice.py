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


def beats_by_more_than_chance(case_scores: Doubles, other_case_scores: Doubles, standard_errors: float = 1.0) -> bool:
    """Tell whether ``case_scores`` are higher on average, by more than some standard errors of the mean difference.

    By default one suffices, instead of the usual two, because a wrong choice between near scores costs little.

    Parameters
    ----------
    case_scores, other_case_scores : float64 array (cases,)
        The scores of two models on the same cases.
    standard_errors : float
        The number of standard errors that the mean difference has to exceed.
    """
    differences = case_scores - other_case_scores
    count = len(differences)
    return count > 1 and bool(differences.mean() > standard_errors * differences.std(ddof=1) / np.sqrt(count))


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


def set_best_recency_weight(model: "Model", validation: Cases, catalog: Catalog, allow_repeats: bool) -> None:
    """Set the weight of a fitted model's recency correction to the best on the validation cases, if it was not given.

    The correction only changes the scores of a fitted model, so nothing is fitted again. A weight above 0 wins where
    the validation cases are later than the training data, as with a shop's history. Where they are not, as under the
    protocol leave-one-out, 0 wins.
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


def chosen_parameters_to_state(chosen_parameters: Mapping[str, Any]) -> State:
    """Return the chosen values as named arrays, each of which holds a value's text in UTF-8."""
    return {
        f"{CHOSEN_PREFIX}{name}": np.frombuffer(str(value).encode(), np.uint8)
        for name, value in chosen_parameters.items()
    }


def chosen_parameters_from_state(
    state: State, hyperparameters: Mapping[str, Any], names_of_chosen: Sequence[str]
) -> dict[str, Any]:
    """Return the chosen values that a stored state holds.

    A value that the state lacks, because an earlier version stored it, is taken from ``hyperparameters``.
    """
    return {
        name: type(hyperparameters[name])(state[CHOSEN_PREFIX + name].tobytes().decode())
        if CHOSEN_PREFIX + name in state
        else hyperparameters[name]
        for name in names_of_chosen
    }
