"""Is one model better than another, case by case on the same cases? Arrays in, numbers out."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import permutation_test

from jobs.core.arrays import Doubles
from jobs.core.bootstrap import bootstrap_interval

RESAMPLES = 9_999
SIGNS_AT_ONCE = 1_000_000  # SciPy takes some 70 bytes for each; how many are drawn at once doesn't change the p-value


@dataclass(frozen=True)
class Estimate:
    """A mean over cases with the 95 % interval of the bootstrap over them."""

    mean: float
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True)
class Comparison:
    """A mean difference over cases, its 95 % interval, and the p-value of no difference."""

    mean: float
    ci_low: float | None
    ci_high: float | None
    p_value: float


def estimate(values: Doubles) -> Estimate:
    """Return the mean of a value a case, float64 (cases,), at least one, with its interval.

    The interval is about the cases: had there been other visitors. Of a model with several seeds the values are
    averaged over them first, so it is about their mean, and says nothing of how much one seed differs from another.
    """
    return Estimate(float(values.mean()), *bootstrap_interval(values))


def compare(values: Doubles, baseline: Doubles) -> Comparison:
    """Compare two models' values, float64 (cases,), of the same cases in the same order.

    The interval is the paired bootstrap's: cases are drawn, with both models' values. The p-value is that of the
    two-sided paired permutation test of the mean difference: each case's two values are as likely the other way
    round. It is exact for few cases, else from 9,999 draws of a fixed seed; it isn't corrected for the number of
    models compared. Source: Smucker, Allan, Carterette, CIKM 2007, for both in the evaluation of rankings;
    ``scipy.stats.permutation_test``.

    Raises
    ------
    ValueError
        If the two are not of one shape, or there is no case.
    """
    if values.shape != baseline.shape or not len(values):
        raise ValueError(f"values of shapes {values.shape} and {baseline.shape} can't be compared")
    difference = values - baseline
    interval = bootstrap_interval(difference)
    changed = difference[difference != 0]  # the others are the same either way round, and are most of them
    if len(changed) < 2:  # either way round, one difference is as large as it is; SciPy wants two
        return Comparison(float(difference.mean()), *interval, 1.0)
    batch = max(1, min(500, SIGNS_AT_ONCE // len(changed)))
    test = permutation_test(
        (changed,), np.mean, permutation_type="samples", n_resamples=RESAMPLES, batch=batch, vectorized=True,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return Comparison(float(difference.mean()), *interval, float(test.pvalue))
