"""EASE, ItemKNN and Markov against weights worked out by hand, and the choice of their hyper-parameters."""

import tracemalloc

import numpy as np
import pytest

from jobs.core.cases import NO_CASES, Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import UnusableParametersError
from jobs.models.base import FitOptions
from jobs.models.ease import EASE
from jobs.models.item_to_item import keep_strongest_weights
from jobs.models.itemknn import ItemKNN
from jobs.models.markov import Markov
from jobs.models.scorer import recommend

CATALOG = Catalog(np.array(list("abcde"), np.object_), np.zeros((5, 1), np.float32), np.ones(5, np.bool_))
A, B, C, D, E = range(5)
SESSIONS = [[A, B, C], [A, B], [B, C, C], [D, A]]


def fitted(family, sessions=SESSIONS, validation=NO_CASES, **parameters):
    model = family(parameters)
    model.fit(Sequences.from_lists(sessions), validation, CATALOG, FitOptions())
    return model


def scores_of(model, row, **options):
    scores, items = recommend(model.scorer(CATALOG), Sequences.from_lists([row]), 5, **options)
    return {int(item): float(score) for item, score in zip(items[0], scores[0], strict=True) if item >= 0}


def test_markov_counts_what_follows_by_distance():
    # b follows a twice at distance 1, c once at distance 2; a occurs 3 times
    assert scores_of(fitted(Markov, shrinkage=0), [A]) == pytest.approx({B: 2 / 3, C: 0.5 / 3})
    # of b's 3 places, c follows two at once, and in [b, c, c] once more at distance 2
    assert scores_of(fitted(Markov, shrinkage=1), [B]) == pytest.approx({C: 2.5 / 4})
    assert scores_of(fitted(Markov, distance=1, shrinkage=0), [A]) == pytest.approx({B: 2 / 3})


def test_markov_knows_items_that_follow_themselves():
    assert scores_of(fitted(Markov, shrinkage=0), [C], allow_repeats=True) == pytest.approx({C: 1 / 3})


def test_itemknn_shrinks_the_cosine_of_the_sequences_that_hold_both():
    # a is in 3 sessions, b in 3, c in 2, d in 1; [b, c, c] holds c once
    wanted = {B: 2 / (3 + 1), C: 1 / (6**0.5 + 1), D: 1 / (3**0.5 + 1)}
    assert scores_of(fitted(ItemKNN, shrinkage=1), [A]) == pytest.approx(wanted)


def test_ease_solves_its_ridge_regressions():
    model = fitted(EASE, l2=0.5)
    held = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1]], float)
    weights = np.zeros((4, 4))
    for target in range(4):  # each item from all others, by its own regression
        others = [item for item in range(4) if item != target]
        gram = held[:, others].T @ held[:, others] + 0.5 * np.eye(3)
        weights[others, target] = np.linalg.solve(gram, held[:, others].T @ held[:, target])
    np.testing.assert_allclose(model.weights.toarray()[:4, :4], weights, atol=1e-5)
    assert E not in scores_of(model, [A])


def test_ease_counts_pairs_of_items_in_little_more_memory_than_the_counts_take():
    """The fit's memory, 8 bytes for each pair, is that of two matrices, of which the counts are one."""
    random, items = np.random.default_rng(0), 1200
    rows = Sequences.from_lists(random.permuted(np.tile(np.arange(items), (900, 1)), axis=1)[:, :4].tolist())
    model = EASE({"weights_per_item": 5})
    tracemalloc.start()
    try:
        model._learn_weights(rows, items)
        _, peak_of_numpy = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_of_numpy < 8 * items**2


def test_ease_says_that_a_ridge_penalty_is_too_small():
    with pytest.raises(UnusableParametersError, match=r"ease's l2 = 1e-09 is too small .* set a larger one"):
        fitted(EASE, [[A, B], [C]], l2=1e-9)


def test_ease_knows_the_most_frequent_items_only():
    model = fitted(EASE, item_limit=2)
    assert set(scores_of(model, [A])) == {B}
    assert scores_of(model, [D]) == {}


def test_older_items_weigh_less_and_the_reason_is_what_adds_most():
    model = fitted(ItemKNN, shrinkage=1, decay="harmonic")
    alone = {item: scores_of(model, [item]) for item in (A, B)}
    both = scores_of(model, [A, B])
    assert both[C] == pytest.approx(alone[B][C] + alone[A][C] / 2)
    reasons = model.scorer(CATALOG).reason_items(Sequences.from_lists([[A, B]]), np.array([[C, D, -1]], np.int32))
    assert reasons.tolist() == [[B, A, -1]]


def test_only_the_strongest_weights_are_kept():
    weights = np.array([[0.0, -3.0, 2.0, 1.0], [0.5, 0.0, 0.5, 0.5]])
    assert keep_strongest_weights(weights, 2).toarray().tolist() == [[0, -3, 2, 0], [0.5, 0, 0.5, 0]]


def test_what_is_not_set_is_chosen_on_validation_and_kept_for_the_last_fit():
    # what was seen first decides, so the newest item must not weigh most
    sessions = [[A, E, B], [C, E, D]] * 20
    cases = Cases(Sequences.from_lists([[A, E], [C, E]] * 10), np.array([B, D] * 10))
    chosen = fitted(ItemKNN, sessions, cases, recency=0.0)
    assert chosen.chosen_parameters["decay"] == "harmonic"  # nothing beats the default here: e goes with both
    last_only = fitted(ItemKNN, sessions, cases, recency=0.0, decay="last")
    assert last_only.chosen_parameters["decay"] == "last"  # set, so not chosen
    again = chosen.refit(Sequences.from_lists(sessions), CATALOG, FitOptions())
    assert again.chosen_parameters == chosen.chosen_parameters
    assert again.parameters == chosen.parameters


def test_a_better_value_is_chosen():
    sessions = [[A, B], [A, B], [C, D], [C, D]] * 10 + [[B, E]] * 30
    rows = [[C, A, B]] * 20
    cases = Cases(Sequences.from_lists(rows), np.array([D] * 20))
    assert fitted(ItemKNN, sessions, cases, recency=0.0).chosen_parameters["decay"] == "mean"


def test_weights_are_learnt_once_for_each_value_of_l2_and_once_at_the_end(monkeypatch):
    learn, learnt = EASE._learn_weights, []

    def count(model, sequences, item_count):
        learnt.append(model.chosen_parameters["l2"])
        return learn(model, sequences, item_count)

    monkeypatch.setattr(EASE, "_learn_weights", count)
    model = fitted(EASE, validation=Cases(Sequences.from_lists([[C, A, B]] * 3), np.array([D] * 3)))
    assert sorted(learnt[:-1]) == EASE.values_to_try["l2"]
    assert learnt[-1] == model.chosen_parameters["l2"]
