"""Comparing two models again and again, each time on newer cases, with an interval that holds at all looks together.

A 95 % interval of one look misses the truth in 5 % of looks, so that a year of weekly looks at equal models finds a
"better" one by chance. The interval here may be looked at as often as one likes: it is a confidence sequence of the
mean paired difference, over the cases of all looks so far, each case counted once.

Source: S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, Time-uniform, nonparametric, nonasymptotic confidence sequences,
Annals of Statistics 49 (2021), equation 15 (one-sided normal mixture) with the variance process of symmetric
differences (V. de la Peña, Annals of Probability 27, 1999): the sum S of the differences of equal models passes
``sqrt(2 (V + r) ln(sqrt((V + r) / r) / (2 a) + 1))`` at any look at all with a probability of at most a, where V is the
sum of their squares. This is exact where the values of two equal models can be exchanged, and holds approximately
wherever a sum over many cases is close to normal. ``recommendations.uplift`` has an interval of the same kind.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from jobs.core.arrays import Bools, Doubles
from jobs.evaluation.comparison import Comparison

SHARPEST_AFTER: Final = 2.0
"""The interval is at its sharpest when the evidence, the sum of squared differences, is this many times that of the
first look with a difference. A smaller number would make early intervals narrower and later ones wider."""


@dataclass(frozen=True, eq=False)
class CaseValuesAtLook:
    """One model's values at one look: those of one night's validation cases, in the order of the cases.

    Attributes
    ----------
    cases_hash : str
        The hash of the cases: only values of the same cases can be compared.
    case_values : float64 array (cases,)
    is_new_case : bool array (cases,)
        Whether the case is newer than every case of the looks before.
    """

    cases_hash: str
    case_values: Doubles
    is_new_case: Bools


def compare_over_interim_looks(
    looks: Sequence[CaseValuesAtLook], baseline_looks: Sequence[CaseValuesAtLook], error_rate: float = 0.05
) -> Comparison | None:
    """Compare two models by the mean difference of their values over the cases of all looks that they share.

    The first look that they share counts with all its cases. Each later look counts with its new cases alone, so that
    no case counts twice.

    Parameters
    ----------
    looks, baseline_looks : sequences of CaseValuesAtLook
        Each model's looks, oldest first, at most one for the same cases.
    error_rate : float
        For two equal models, the probability that ``ci_low`` is above 0 at any look is at most this. The probability
        that ``ci_high`` is below 0 at any look is at most this too.

    Returns
    -------
    Comparison or None
        The mean difference with the ends of its interval and no p-value; None if no case is shared.
    """
    baseline_by_cases = {look.cases_hash: look for look in baseline_looks}
    shared = [(look, baseline_by_cases[look.cases_hash]) for look in looks if look.cases_hash in baseline_by_cases]
    parts = [
        (look.case_values - baseline.case_values)[slice(None) if number == 0 else look.is_new_case]
        for number, (look, baseline) in enumerate(shared)
    ]
    differences = np.concatenate(parts) if parts else np.empty(0)
    if not len(differences):
        return None
    mean = float(differences.mean())
    first_sum_of_squares = next((float(part @ part) for part in parts if part.any()), 0.0)
    margin = _margin_of_sum(first_sum_of_squares, float(differences @ differences), error_rate) / len(differences)
    return Comparison(mean, mean - margin, mean + margin)


def _margin_of_sum(first_sum_of_squares: float, all_looks_sum_of_squares: float, error_rate: float) -> float:
    """Return the margin that the sum of equal models' differences ever exceeds with probability ``error_rate``.

    Parameters
    ----------
    first_sum_of_squares, all_looks_sum_of_squares : float
        The sums of the squared differences of the first look that has a difference, and of all looks. The first one
        sets the amount of evidence at which the margin is sharpest. Data may set it, because squares tell nothing of
        the signs. But it must be the same at all later looks, or the margin would not hold at all of them together.
    """
    if all_looks_sum_of_squares == 0:
        return 0.0
    evidence = 2 * math.log(1 / (2 * error_rate))
    prior = SHARPEST_AFTER * first_sum_of_squares / (evidence + math.log(max(evidence, 1.0)) + 1)
    total = all_looks_sum_of_squares + prior
    return math.sqrt(2 * total * math.log(math.sqrt(total / prior) / (2 * error_rate) + 1))
