"""Summaries of an experiment's models, and the report that shows them."""

import numpy as np
import polars as pl
import pytest

from jobs.evaluation.comparison import Comparison, Estimate
from jobs.experiments.markdown import report_as_markdown
from jobs.experiments.spec import ExperimentSpec
from jobs.experiments.summaries import FinishedRuns, ModelSummary, summarize_models


def test_a_summary_averages_seeds_case_by_case():
    runs = pl.DataFrame(
        {
            "model_version": ["a0", "a1", "b"],
            "label": ["A", "A", "B"],
            "model": ["sasrec", "sasrec", "popularity"],
            "seed": [0, 1, None],
            "fit_seconds": [60.0, 120.0, 0.0],
            "recommend_seconds": [0.0, 0.0, 6.0],
        }
    )
    metrics = pl.DataFrame(
        {
            "model_version": ["a0", "a1", "a1", "b"],
            "segment": ["all", "all", "tied", "all"],
            "metric": ["mrr"] * 4,
            "k": [20] * 4,
            "value": [0.2, 0.4, 9.0, 0.1],
        }
    )
    ranks = {"a0": np.array([1, 0, 2, 0]), "a1": np.array([1, 1, 0, 0]), "b": np.array([0, 4, 0, 1])}
    tied = np.array([True, True, False, False])
    a, b = summarize_models(FinishedRuns(runs, metrics, ranks), {"tied": tied}, ["A", "absent", "B"], "B", "mrr", 20)
    assert (a.label, a.seeds, a.metric_value_of_each_seed) == ("A", [0, 1], [0.375, 0.5])
    assert a.estimate_by_segment["all"].mean == pytest.approx(0.4375)
    assert a.estimate_by_segment["tied"].mean == pytest.approx(0.75)
    assert a.difference_to_baseline_by_segment["all"].mean == pytest.approx(0.4375 - 0.3125)
    assert a.difference_to_baseline_by_segment["tied"].mean == pytest.approx(0.75 - 0.125)
    assert (a.metric_means, a.total_fit_and_recommend_minutes, a.case_count_by_segment) == (
        {"mrr@20": pytest.approx(0.3)},
        3.0,
        {"all": 4, "tied": 2},
    )
    assert (b.seeds, b.difference_to_baseline_by_segment) == ([None], {})
    assert b.total_fit_and_recommend_minutes == pytest.approx(0.1)


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
    what = ExperimentSpec(
        name="t",
        protocol="paper",
        baseline="base",
        seeds=[0, 1],
        models=[{"family": "popularity", "label": "base"}, {"family": "sasrec", "label": "new"}],
    )
    text = report_as_markdown(what, lines, {}, [])
    assert COMPARED in text
    assert "of a run that was killed, those since it went on" in text
    assert BY_SEGMENT_AND_SEED in text
    assert "\n| new |  |  | 0.1500 |  |  |  | 0.5000 |  |  |  |  |  |\n" in text
