"""Comparing two models on the same cases: the mean paired difference, its interval and its p-value.

Sources: Smucker, Allan, Carterette, CIKM 2007, for the paired bootstrap and the paired permutation test in the
evaluation of rankings; ``scipy.stats.permutation_test``.
"""

from dataclasses import dataclass

import numpy as np

from jobs.core.arrays import Doubles
from jobs.core.bootstrap import bootstrap_interval

RESAMPLES = 9_999
"""How many random combinations of signs a permutation test tries if there are too many cases to try every one."""

# The largest number of signs that SciPy draws at once, with about 70 bytes of memory for each. The p-value does not
# depend on this number.
SIGNS_PER_BATCH = 1_000_000


@dataclass(frozen=True)
class Estimate:
    """A mean over cases with its 95 % bootstrap interval; both ends are None if the interval can't be computed."""

    mean: float
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True)
class Comparison(Estimate):
    """The mean difference of two models over the same cases, with its interval.

    The interval is the 95 % interval of the paired bootstrap, or one that holds at all looks together
    (:mod:`jobs.evaluation.interim_looks`).

    Attributes
    ----------
    p_value : float or None
        The p-value of the two-sided paired permutation test; None if the test was not made.
    """

    p_value: float | None = None


def estimate_mean(case_values: Doubles) -> Estimate:
    """Return the mean of one model's values with its 95 % bootstrap interval.

    The interval shows how much the mean depends on which cases were drawn. It does not show how much it depends on the
    seed of the training.

    Parameters
    ----------
    case_values : float64 array (cases,)
        One value for each case, at least one case; of a model with several seeds, the mean over its seeds.
    """
    return Estimate(float(case_values.mean()), *bootstrap_interval(case_values))


def compare_case_values(case_values: Doubles, baseline_values: Doubles, *, with_p_value: bool = True) -> Comparison:
    """Compare two models by the mean difference of their values on the same cases, in the same order.

    The interval is that of the paired bootstrap: cases are drawn, each with the values of both models.

    Parameters
    ----------
    case_values, baseline_values : float64 arrays (cases,)
        Each model's value for each case; at least one case.
    with_p_value : bool
        Whether to make the permutation test, which takes most of the computing time.

    Raises
    ------
    ValueError
        If the two arrays have different shapes, or there is no case.
    """
    if case_values.shape != baseline_values.shape or not len(case_values):
        raise ValueError(f"values of shapes {case_values.shape} and {baseline_values.shape} can't be compared")
    differences = case_values - baseline_values
    p_value = permutation_p_value(differences) if with_p_value else None
    return Comparison(float(differences.mean()), *bootstrap_interval(differences), p_value)


def permutation_p_value(case_differences: Doubles) -> float:
    """Return the p-value of the two-sided paired permutation test of the mean difference.

    If two models are equally good, the two values of a case can be exchanged, which flips the sign of their
    difference. For few cases the p-value is exact, because every combination of signs is tried; else it is computed
    from 9,999 random combinations with a fixed seed. It is not corrected for the number of models compared.

    Parameters
    ----------
    case_differences : float64 array (cases,)
        The difference of two models' values on each case.
    """
    # differences of zero have no sign to flip; they are left out for speed, since most differences are zero
    nonzero = case_differences[case_differences != 0]
    # SciPy needs at least two values; the mean of a single difference is equally large with either sign
    if len(nonzero) < 2:
        return 1.0
    # imported here, because scipy.stats loads slowly and few processes compare models
    from scipy.stats import permutation_test

    test = permutation_test(
        (nonzero,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        batch=max(1, min(500, SIGNS_PER_BATCH // len(nonzero))),
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)
