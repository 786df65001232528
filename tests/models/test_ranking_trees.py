"""Trees that put candidates in a new order: what they may learn from, and when their number is not 0."""

import numpy as np
import pytest
from optional_packages import require_lightgbm

from jobs.models.merged_lists import MergedLists, case_ndcgs_by_scores
from jobs.models.ranking_trees import (
    RankedCandidates,
    choose_tree_count,
    train_trees,
    train_trees_without_each_fold,
)

CANDIDATES = 10


@pytest.fixture(autouse=True)
def lightgbm():
    require_lightgbm()


def ranked_cases(case_count, *, signal, rising=0, seed=0):
    """Cases of ten candidates in a random known order; ``signal`` of the targets have the largest first feature."""
    generator = np.random.default_rng(seed)
    features = generator.random((case_count, CANDIDATES, 2)).astype(np.float32)
    targets = np.where(
        generator.random(case_count) < signal,
        features[:, :, 0].argmax(axis=1),
        generator.integers(0, CANDIDATES, case_count),
    )
    rows, items = np.indices((case_count, CANDIDATES)).reshape(2, -1)
    pairs = MergedLists(rows, items, np.ones((len(rows), 1)))
    starting_scores = generator.random(len(rows)) / 10
    return RankedCandidates(pairs, features.reshape(-1, 2), rising, starting_scores), targets


def mean_ndcg(candidates, scores, targets):
    return case_ndcgs_by_scores(candidates.pairs, scores, targets, 20).mean()


def choose(candidates, targets, counts, leaves=7, learning_rate=0.1):
    trees = train_trees_without_each_fold(candidates, targets, max(counts), leaves, learning_rate)
    return choose_tree_count(candidates, targets, counts, trees)


def test_trees_find_the_feature_that_tells_on_cases_that_they_have_not_seen():
    trees = train_trees(*ranked_cases(400, signal=0.8), 20, 7, 0.1)
    candidates, targets = ranked_cases(400, signal=0.8, seed=1)
    known = mean_ndcg(candidates, candidates.starting_scores.astype(np.float32), targets)
    assert mean_ndcg(candidates, trees.scores(candidates), targets) > known + 0.2
    assert mean_ndcg(candidates, trees.first(1).scores(candidates), targets) > known
    one = train_trees(*ranked_cases(400, signal=0.8), 1, 7, 0.1)
    np.testing.assert_array_equal(trees.first(1).scores(candidates), one.scores(candidates))


def test_many_trees_are_chosen_where_they_help_and_none_where_they_do_not():
    assert choose(*ranked_cases(400, signal=0.8), [0, 5, 20]) > 0
    assert choose(*ranked_cases(400, signal=0.0), [0, 5, 20]) == 0


def test_a_case_is_ranked_by_trees_of_other_cases():
    """Trees that have seen a case know its target by a feature that names the case; cross-fitting must not."""
    candidates, targets = ranked_cases(200, signal=0.0)
    names = np.arange(len(candidates.features), dtype=np.float32)[:, None]
    naming = RankedCandidates(candidates.pairs, np.repeat(names, 2, axis=1), 0, candidates.starting_scores)
    assert choose(naming, targets, [0, 50], 60, 0.5) == 0


def test_few_cases_choose_no_trees_however_much_they_help():
    candidates, targets = ranked_cases(220, signal=0.8)
    assert choose(candidates, targets, [0, 20]) == 20
    targets[:21] = -1  # a case whose target is no candidate does not count
    assert choose(candidates, targets, [0, 20]) == 0


@pytest.mark.parametrize("rising", [0, 2])
def test_a_rising_feature_never_lowers_a_score(rising):
    candidates, targets = ranked_cases(400, signal=0.8)
    against = RankedCandidates(candidates.pairs, -candidates.features, rising, candidates.starting_scores)
    trees = train_trees(against, targets, 20, 7, 0.1)
    steps = np.stack([np.linspace(-1, 0, 50), np.full(50, -0.5)], axis=1).astype(np.float32)
    scores = trees.scores(RankedCandidates(candidates.pairs, steps, rising, np.zeros(50)))
    assert (np.diff(scores) >= 0).all() == bool(rising)


def test_cases_without_their_target_among_the_candidates_teach_nothing():
    candidates, targets = ranked_cases(200, signal=0.8)
    targets[100:] = -1
    half = candidates.keep(candidates.pairs.row_numbers < 100)
    assert train_trees(candidates, targets, 5, 7, 0.1) == train_trees(half, targets, 5, 7, 0.1)
    assert train_trees(candidates, np.full(200, -1), 5, 7, 0.1) is None
    assert choose(candidates, np.full(200, -1), [0, 5]) == 0


def test_no_candidates_have_no_scores():
    trees = train_trees(*ranked_cases(200, signal=0.8), 5, 7, 0.1)
    candidates, _ = ranked_cases(0, signal=0.8)
    assert trees.scores(candidates).shape == (0,)
