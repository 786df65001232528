"""The bootstrap interval against plain resampling, the normal law and the truth."""

import math

import numpy as np
import pytest

from jobs.core.bootstrap import bootstrap_interval


def test_interval_is_that_of_the_plain_bootstrap():
    sample = np.random.default_rng(0).random(400) ** 3
    low, high = bootstrap_interval(sample, resample_count=4000, seed=1)
    drawn = np.random.default_rng(2).choice(sample, (4000, 400)).mean(axis=1)
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), rel=0.02)


def test_interval_of_many_distinct_values_is_that_of_the_normal_law():
    sample = np.random.default_rng(0).normal(10, 2, 20_000)
    low, high = bootstrap_interval(sample, resample_count=4000)
    half = 1.96 * sample.std() / math.sqrt(len(sample))
    assert (low, high) == pytest.approx((sample.mean() - half, sample.mean() + half), abs=half / 10)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    intervals = [bootstrap_interval(rng.random(200) < 0.3, seed=i, resample_count=400) for i in range(200)]
    assert 180 <= sum(low <= 0.3 <= high for low, high in intervals) <= 199


def test_interval_depends_on_the_seed_alone():
    sample = np.random.default_rng(0).random(50)
    assert bootstrap_interval(sample, seed=4) == bootstrap_interval(sample[::-1], seed=4)
    assert bootstrap_interval(sample, seed=4) != bootstrap_interval(sample, seed=5)


def test_interval_narrows_with_less_confidence_and_checks_its_arguments():
    sample = np.random.default_rng(0).random(50)
    wide, narrow = (bootstrap_interval(sample, confidence=share) for share in (0.99, 0.5))
    assert wide[0] < narrow[0] < sample.mean() < narrow[1] < wide[1]
    assert bootstrap_interval([]) == bootstrap_interval(sample, resample_count=0) == (None, None)
    for options in ({"confidence": 1.0}, {"confidence": 0.0}, {"resample_count": -1}):
        with pytest.raises(ValueError, match="confidence must lie"):
            bootstrap_interval(sample, **options)
