"""Percentile bootstrap confidence interval of a mean."""

from typing import Final

import numpy as np
import numpy.typing as npt

from jobs.core.arrays import Doubles, Longs

_MAX_BINS: Final = 1024


def bootstrap_interval(
    case_values: npt.ArrayLike,
    *,
    resample_count: int = 1000,
    confidence: float = 0.95,
    seed: int | tuple[int, ...] = 0,
) -> tuple[float | None, float | None]:
    """Return the percentile bootstrap confidence interval of a mean over cases.

    A resample draws n cases with replacement. It is made by one multinomial draw, which says how often each distinct
    value occurs. Drawing the cases one by one would give the same distribution, but would take more time, and memory
    that grows with n. More than 1,024 distinct values are first grouped into 1,024 bins of equal width, and each bin is
    represented by its mean. The overall mean is unchanged, and the variance shrinks by less than (range / 1024)^2 / 4.
    Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Parameters
    ----------
    case_values : float array (n,)
        One number per case, none NaN. For a paired comparison, the difference of two models' values per case.
    resample_count : int
        Number of bootstrap resamples; with 0 no interval is computed.
    confidence : float
        Share of the resampled means inside the interval.
    seed : int or tuple of int
        Seed of NumPy's random generator.

    Returns
    -------
    tuple of float or None
        Lower and upper end of the interval; (None, None) if there are no values or no resamples.

    Raises
    ------
    ValueError
        If ``confidence`` is not between 0 and 1, or ``resample_count`` is negative.
    """
    if not 0 < confidence < 1 or resample_count < 0:
        raise ValueError(f"confidence must lie in (0, 1) and resample_count be >= 0: {confidence}, {resample_count}")
    sample = np.asarray(case_values, dtype=np.float64)
    if not len(sample) or not resample_count:
        return None, None
    means, occurrences = _distinct_values_or_bins(sample)
    shares = occurrences / len(sample)
    drawn = np.random.default_rng(seed).multinomial(len(sample), shares, size=resample_count)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn @ means / len(sample), [tail, 1 - tail])
    return float(low), float(high)


def _distinct_values_or_bins(case_values: Doubles) -> tuple[Doubles, Longs]:
    """Return the distinct values and how often each occurs; group more than 1,024 of them into bins.

    For bins, return the mean and the number of the values in each.
    """
    distinct, occurrences = np.unique(case_values, return_counts=True)
    if len(distinct) <= _MAX_BINS:
        return distinct, occurrences
    width = (distinct[-1] - distinct[0]) / _MAX_BINS
    bins = np.minimum(((case_values - distinct[0]) / width).astype(np.int64), _MAX_BINS - 1)
    occurrences = np.bincount(bins, minlength=_MAX_BINS)
    used = occurrences > 0
    return np.bincount(bins, case_values, _MAX_BINS)[used] / occurrences[used], occurrences[used]
