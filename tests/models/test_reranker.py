"""The reranker: what it learns beyond the fusion, what it must not know, and where it stays the fusion."""

import builtins

import numpy as np
import pytest
from known_answers import ITEMS, cases, held_out, shop, training, walks
from optional_packages import require_lightgbm

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.models.base import FitOptions
from jobs.models.registry import make_model
from jobs.models.reranker_features import ItemHistory
from jobs.models.scorer import case_ndcgs, recommend
from jobs.nightly.model_store import model_from_bytes, model_to_bytes

PARTS = {"parts": ["vsknn", "llmseqsim"]}


def fit_reranker(train=None, validation=None, fit_options=None, **given):
    require_lightgbm()
    model = make_model("reranker", {**PARTS, **given})
    model.fit(training() if train is None else train, validation or cases(), shop(), fit_options or FitOptions())
    return model


def fit_fusion(train=None, validation=None):
    model = make_model("fusion", PARTS)
    model.fit(training() if train is None else train, validation or cases(), shop(), FitOptions())
    return model


def lists_of(model, sequences, k=10):
    return recommend(model.scorer(shop()), sequences, k)


def test_trees_learn_what_the_parts_do_not_know():
    """Each target is two places on in the ring, where the parts put the next place first."""
    rows = walks(400, seed=3, shortest=4, longest=6)
    after_next = Cases(Sequences.from_lists(row[:-2] for row in rows), np.array([row[-1] for row in rows]))
    learnt_from, asked = (
        Cases(after_next.inputs.take(part), after_next.targets[part]) for part in (np.arange(300), np.arange(300, 400))
    )
    fusion, reranker = fit_fusion(validation=learnt_from), fit_reranker(validation=learnt_from)
    assert reranker.chosen_parameters["rounds"] > 0
    of_fusion, of_reranker = (case_ndcgs(model.scorer(shop()), asked).mean() for model in (fusion, reranker))
    assert of_reranker > of_fusion + 0.1


def test_where_the_fusion_is_right_the_reranker_is_the_fusion():
    reranker = fit_reranker()
    assert reranker.chosen_parameters["rounds"] == 0
    for found, wanted in zip(lists_of(reranker, cases().inputs), lists_of(fit_fusion(), cases().inputs), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_cases_without_a_pattern_leave_the_fusions_order(monkeypatch):
    monkeypatch.setattr("jobs.models.ranking_trees.FEWEST_CASES", 0)  # few cases show best what luck does
    generator = np.random.default_rng(5)
    chosen = []
    for _ in range(10):
        inputs = Sequences.from_lists(walks(40, seed=int(generator.integers(1000)), shortest=3, longest=5))
        validation = Cases(inputs, generator.integers(0, ITEMS, 40))
        chosen.append(fit_reranker(validation=validation).chosen_parameters["rounds"])
    assert np.mean(np.array(chosen) > 0) <= 0.2  # with one standard error it would be half of them


def test_trees_that_learn_from_random_targets_hit_by_chance_alone():
    generator = np.random.default_rng(9)
    rows = [generator.permutation(ITEMS)[: generator.integers(3, 7)].tolist() for _ in range(720)]
    tests = held_out(rows[420:])
    model = fit_reranker(Sequences.from_lists(rows[:320]), held_out(rows[320:420]), rounds=40)
    _, lists = lists_of(model, tests.inputs)
    share = (lists == tests.targets[:, None]).any(axis=1).mean()
    assert abs(share - (10 / (ITEMS - tests.inputs.lengths)).mean()) < 0.1


@pytest.mark.parametrize("learnt_from", [100, 400])
def test_validation_cases_are_ranked_by_trees_that_have_not_seen_their_targets(monkeypatch, learnt_from):
    """No target follows from its input, so that only trees that have seen the targets could rank them high."""
    monkeypatch.setattr("jobs.models.reranker.CASES_TO_LEARN_FROM", learnt_from)
    inputs = Sequences.from_lists(walks(400, seed=3, shortest=3, longest=5))
    # an input has no repeats, but a target may be one of its items
    validation = Cases(inputs, np.random.default_rng(9).integers(0, ITEMS, 400))
    options = FitOptions(allow_repeats=True)
    model = fit_reranker(
        validation=validation, fit_options=options, rounds=40, leaves=30, learning_rate=0.3, equal_weights=True
    )
    lists, _ = model.rank_validation_cases(validation, 10, shop(), allow_repeats=True)
    assert abs((lists == validation.targets[:, None]).any(axis=1).mean() - 10 / ITEMS) < 0.06
    _, of_all_trees = recommend(model.scorer(shop()), inputs, 10, allow_repeats=True)
    assert (of_all_trees == validation.targets[:, None]).any(axis=1).mean() > 10 / ITEMS + 0.1


def test_items_are_counted_in_training_sequences_alone():
    train = training()
    model = fit_reranker(train, rounds=5)
    wanted = ItemHistory.from_sequences(train, shop()).values
    np.testing.assert_array_equal(model.item_history.values, wanted)
    more = Sequences.from_lists([*train, *walks(50, seed=3, shortest=3, longest=5)])
    again = model.refit(more, shop(), FitOptions())
    np.testing.assert_array_equal(again.item_history.values, ItemHistory.from_sequences(more, shop()).values)
    assert again.trees == model.trees
    assert again.chosen_parameters == model.chosen_parameters
    assert again.weights.tolist() == model.weights.tolist()


def test_targets_do_not_change_the_features_of_their_candidates(monkeypatch):
    seen = []
    monkeypatch.setattr("jobs.models.reranker.train_trees", lambda candidates, *_: seen.append(candidates) or None)
    shuffled = Cases(cases().inputs, np.random.default_rng(3).permutation(cases().targets))
    for validation in (cases(), shuffled):
        # parts choose hyper-parameters, and the fusion weights, on the cases: here they are given
        recency = {part: {"recency": 0.5} for part in PARTS["parts"]}
        fit_reranker(validation=validation, rounds=5, equal_weights=True, parameters=recency)
    first, second = seen
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.pairs.items, second.pairs.items)


def test_the_trees_of_a_stored_reranker_are_text_and_give_the_same_lists():
    model = fit_reranker(rounds=10)
    assert model.state()["trees"].tobytes().decode().startswith("tree\n")
    restored = model_from_bytes("reranker", model.parameters, model_to_bytes(model, shop()))
    for found, wanted in zip(lists_of(restored, cases().inputs), lists_of(model, cases().inputs), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_two_fits_give_the_same_lists():
    first, second = (lists_of(fit_reranker(rounds=10), cases().inputs) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_reasons_are_the_fusions():
    reranker, fusion = fit_reranker(rounds=10), fit_fusion()
    _, items = lists_of(reranker, cases().inputs)
    found, wanted = (model.scorer(shop()).reason_items(cases().inputs, items) for model in (reranker, fusion))
    assert (found[items >= 0] >= 0).all()
    np.testing.assert_array_equal(found, wanted)


def test_without_a_listed_target_there_are_no_trees():
    unknown = Cases(cases().inputs, np.full(len(cases().targets), -1))
    model = fit_reranker(validation=unknown, rounds=10)
    assert model.trees is None
    assert (lists_of(model, cases().inputs)[1] >= 0).all()


def test_no_more_cases_are_learnt_from_than_memory_allows(monkeypatch):
    seen = []
    monkeypatch.setattr("jobs.models.reranker.CASES_TO_LEARN_FROM", 50)
    monkeypatch.setattr("jobs.models.reranker.train_trees", lambda candidates, *_: seen.append(candidates) or None)
    fit_reranker(rounds=5)
    assert np.unique(seen[0].pairs.row_numbers).tolist() == [*range(50)]


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (ImportError("lightgbm"), r"nextmart\[reranker\]"),
        (OSError("libgomp.so.1: absent"), "apt install libgomp1"),
    ],
)
def test_without_lightgbm_the_error_says_what_is_missing(monkeypatch, error, named):
    import_module = builtins.__import__

    def without_lightgbm(name, *arguments, **options):
        if name == "lightgbm":
            raise error
        return import_module(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_lightgbm)
    model = make_model("reranker", PARTS)
    with pytest.raises(UsageError, match=named):
        model.fit(training(), cases(), shop(), FitOptions())


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"parts": ["vsknn"]}, "reranker's parts must be two families"),
        ({"parts": ["vsknn", "fusion"]}, "reranker's parts: 'fusion' is no family to fuse"),
        ({"parameters": {"sasrec": {}}}, "reranker's parameters name 'sasrec'"),
        ({"rounds": -1}, "at least 0"),
        ({"leaves": 1}, "at least 2"),
        ({"depth": 5001}, "depth = 5001 is too large for 2 parts: .* 10,000 items together, so set at most 5000"),
    ],
)
def test_an_impossible_reranker_is_refused_with_its_cause(parameters, said):
    with pytest.raises(UsageError, match=said):
        make_model("reranker", {**PARTS, **parameters})
