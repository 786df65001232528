"""Intervals, paired differences and p-values against known answers."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from scipy.stats import permutation_test

from jobs.evaluation import comparison
from jobs.evaluation.comparison import compare_case_values, estimate_mean


def p_by_enumeration(difference) -> float:
    """Return the two-sided p-value of the sign-flip test, from each of the 2^n flips."""
    flips = np.array(list(itertools.product([1, -1], repeat=len(difference))))
    sums = np.abs(flips @ difference)
    return float((sums >= abs(difference.sum()) - 1e-12).mean())


def test_five_wins_of_five_have_p_of_two_in_thirty_two():
    found = compare_case_values(np.ones(5), np.zeros(5))
    assert found.p_value == pytest.approx(2 / 32)
    assert (found.mean, found.ci_low, found.ci_high) == (1, 1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_p_of_few_cases_is_that_of_every_flip(seed):
    difference = np.random.default_rng(seed).normal(0.3, 1, 8).round(2)
    ties = np.zeros(4)  # cases with equal values do not change the p-value
    found = compare_case_values(np.concatenate([difference, ties]), np.zeros(12))
    assert found.p_value == pytest.approx(p_by_enumeration(difference))
    assert found.mean == pytest.approx(difference.sum() / 12)


def test_equal_models_do_not_differ():
    found = compare_case_values(np.full(9, 0.5), np.full(9, 0.5))
    assert (found.mean, found.p_value) == (0, 1)


def test_one_case_that_differs_says_nothing():
    found = compare_case_values(np.array([0.0, 0.4, 0.0, 0.0]), np.zeros(4))
    assert (found.mean, found.p_value) == (pytest.approx(0.1), 1)


def test_p_of_many_cases_is_near_the_normal_one_and_the_same_each_time():
    difference = np.random.default_rng(5).normal(0.06, 1, 1_000)
    found = compare_case_values(difference, np.zeros(1_000))
    assert found == compare_case_values(difference, np.zeros(1_000))
    z = difference.mean() / np.sqrt((difference**2).mean() / 1_000)  # sign flips: mean 0, sum of squares is kept
    normal = 2 * (1 - 0.5 * (1 + math.erf(abs(z) / math.sqrt(2))))
    assert found.p_value == pytest.approx(float(normal), abs=0.015)
    assert found.ci_low < found.mean < found.ci_high


def test_many_cases_take_no_more_memory_and_have_the_p_of_any_batch(monkeypatch):
    monkeypatch.setattr(comparison, "RESAMPLES", 600)
    difference = np.random.default_rng(5).normal(0.03, 1, 5_000)
    tracemalloc.start()
    found = compare_case_values(difference, np.zeros(5_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6
    wanted = permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        n_resamples=600,
        batch=500,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    assert found.p_value == wanted.pvalue


def test_pairing_sees_what_two_intervals_do_not():
    noise = np.random.default_rng(0).normal(0, 10, 300)
    better, worse = noise + 0.5, noise
    assert estimate_mean(worse).ci_high > estimate_mean(better).ci_low
    assert compare_case_values(better, worse).p_value < 0.001
    assert compare_case_values(worse, better).mean == pytest.approx(-0.5)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="can't be compared"):
        compare_case_values(np.zeros(3), np.zeros(4))
