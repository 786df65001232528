"""Intervals, paired differences and p-values against known answers, and the report that tells of them."""

import itertools
import math
import tracemalloc

import numpy as np
import polars as pl
import pytest
from scipy.stats import permutation_test

from jobs.experiments import comparison
from jobs.experiments.comparison import Comparison, Estimate, compare, estimate
from jobs.experiments.markdown import markdown
from jobs.experiments.report import ModelSummary, Results, summarize
from jobs.experiments.spec import Experiment


def p_by_enumeration(difference) -> float:
    """Two-sided sign-flip p-value, every one of the 2^n flips counted."""
    flips = np.array(list(itertools.product([1, -1], repeat=len(difference))))
    sums = np.abs(flips @ difference)
    return float((sums >= abs(difference.sum()) - 1e-12).mean())


def test_five_wins_of_five_have_p_of_two_in_thirty_two():
    found = compare(np.ones(5), np.zeros(5))
    assert found.p_value == pytest.approx(2 / 32)
    assert (found.mean, found.ci_low, found.ci_high) == (1, 1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_p_of_few_cases_is_that_of_every_flip(seed):
    difference = np.random.default_rng(seed).normal(0.3, 1, 8).round(2)
    ties = np.zeros(4)  # cases on which both are equal change nothing
    found = compare(np.concatenate([difference, ties]), np.zeros(12))
    assert found.p_value == pytest.approx(p_by_enumeration(difference))
    assert found.mean == pytest.approx(difference.sum() / 12)


def test_equal_models_do_not_differ():
    found = compare(np.full(9, 0.5), np.full(9, 0.5))
    assert (found.mean, found.p_value) == (0, 1)


def test_one_case_that_differs_says_nothing():
    found = compare(np.array([0.0, 0.4, 0.0, 0.0]), np.zeros(4))
    assert (found.mean, found.p_value) == (pytest.approx(0.1), 1)


def test_p_of_many_cases_is_near_the_normal_one_and_the_same_each_time():
    difference = np.random.default_rng(5).normal(0.06, 1, 1_000)
    found = compare(difference, np.zeros(1_000))
    assert found == compare(difference, np.zeros(1_000))
    z = difference.mean() / np.sqrt((difference**2).mean() / 1_000)  # sign flips: mean 0, sum of squares is kept
    normal = 2 * (1 - 0.5 * (1 + math.erf(abs(z) / math.sqrt(2))))
    assert found.p_value == pytest.approx(float(normal), abs=0.015)
    assert found.ci_low < found.mean < found.ci_high


def test_many_cases_take_no_more_memory_and_have_the_p_of_any_batch(monkeypatch):
    monkeypatch.setattr(comparison, "RESAMPLES", 600)
    difference = np.random.default_rng(5).normal(0.03, 1, 5_000)
    tracemalloc.start()
    found = compare(difference, np.zeros(5_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6
    wanted = permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=600, batch=500, vectorized=True,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert found.p_value == wanted.pvalue


def test_pairing_sees_what_two_intervals_do_not():
    noise = np.random.default_rng(0).normal(0, 10, 300)
    better, worse = noise + 0.5, noise
    assert estimate(worse).ci_high > estimate(better).ci_low
    assert compare(better, worse).p_value < 0.001
    assert compare(worse, better).mean == pytest.approx(-0.5)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="can't be compared"):
        compare(np.zeros(3), np.zeros(4))


def test_a_summary_averages_seeds_case_by_case():
    runs = pl.DataFrame(
        {
            "model_version": ["a0", "a1", "b"], "label": ["A", "A", "B"], "model": ["sasrec", "sasrec", "popularity"],
            "seed": [0, 1, None], "fit_seconds": [60.0, 120.0, 0.0], "recommend_seconds": [0.0, 0.0, 6.0],
        }
    )  # fmt: skip
    metrics = pl.DataFrame(
        {
            "model_version": ["a0", "a1", "a1", "b"], "segment": ["all", "all", "tied", "all"], "metric": ["mrr"] * 4,
            "k": [20] * 4, "value": [0.2, 0.4, 9.0, 0.1],
        }
    )  # fmt: skip
    ranks = {"a0": np.array([1, 0, 2, 0]), "a1": np.array([1, 1, 0, 0]), "b": np.array([0, 4, 0, 1])}
    tied = np.array([True, True, False, False])
    a, b = summarize(Results(runs, metrics, ranks), {"tied": tied}, ["A", "absent", "B"], "B", "mrr", 20)
    assert (a.label, a.seeds, a.by_seed) == ("A", [0, 1], [0.375, 0.5])
    assert a.estimates["all"].mean == pytest.approx(0.4375)
    assert a.estimates["tied"].mean == pytest.approx(0.75)
    assert a.differences["all"].mean == pytest.approx(0.4375 - 0.3125)
    assert a.differences["tied"].mean == pytest.approx(0.75 - 0.125)
    assert (a.means, a.minutes, a.cases) == ({"mrr@20": pytest.approx(0.3)}, 3.0, {"all": 4, "tied": 2})
    assert (b.seeds, b.differences, b.minutes) == ([None], {}, pytest.approx(0.1))


COMPARED = """
| model | runs | nDCG@20 | difference | p | minutes |
| --- | ---: | ---: | ---: | ---: | ---: |
| base | 1 | 0.2000 [0.1000, 0.3000] |  |  | 0.0 |
| new | 2 | 0.5000 [0.4000, 0.6000] | +0.3000 [+0.2000, +0.3500] | 0.0123 | 1,234.5 |
"""
BY_SEGMENT_AND_SEED = """
| model | tied (34) |
| --- | ---: |
| base | 0.2500 |
| new | 0.1250 [0.0000, 0.2000], -0.1250 (p 0.7500) |

nDCG@20 by seed:

| model | seed | value |
| --- | ---: | ---: |
| new | 0 | 0.4500 |
| new | 1 | 0.5500 |
"""


def test_a_report_tells_each_figure_in_its_place():
    plain = {"all": Estimate(0.2, 0.1, 0.3), "tied": Estimate(0.25, None, None)}
    better = {"all": Estimate(0.5, 0.4, 0.6), "tied": Estimate(0.125, 0.0, 0.2)}
    gain = {"all": Comparison(0.3, 0.2, 0.35, 0.0123), "tied": Comparison(-0.125, -0.2, 0.0, 0.75)}
    cases = {"all": 1200, "tied": 34}
    lines = [
        ModelSummary("base", "popularity", [None], {"mrr@10": 0.1}, [0.2], plain, {}, cases, 0.04),
        ModelSummary(
            "new", "sasrec", [0, 1], {"ndcg@20": 0.5, "mrr@10": 0.15}, [0.45, 0.55], better, gain, cases, 1234.5
        ),
    ]
    what = Experiment(
        name="t", protocol="paper", baseline="base", seeds=[0, 1],
        models=[{"family": "popularity", "label": "base"}, {"family": "sasrec", "label": "new"}],
    )  # fmt: skip
    text = markdown(what, lines, {}, [])
    assert COMPARED in text
    assert "of a run that was killed, those since it went on" in text
    assert BY_SEGMENT_AND_SEED in text
    assert "\n| new |  |  | 0.1500 |  |  |  | 0.5000 |  |  |  |  |  |\n" in text
