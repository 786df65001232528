"""Behaviour common to all model families, and each family's known answers on the shop of ``known_answers``."""

import numpy as np
import pytest
import torch
from known_answers import (
    BLANK_ID,
    COLD_IDS,
    EXPECTED,
    INDEX,
    ITEMS,
    LOST,
    TWIN_PLACE,
    cases,
    fit,
    fitted,
    grown_shop,
    held_out,
    rankable,
    shop,
    training,
    walks,
)
from optional_packages import require_lightgbm

from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.registry import FAMILIES
from jobs.models.scorer import recommend
from jobs.nightly.model_store import model_from_bytes, model_to_bytes

TRAINED_FAMILIES = sorted(family for family, expected in EXPECTED.items() if expected.is_trained)

FUSIONS = ("fusion", "reranker")


every_family = pytest.mark.parametrize("family", sorted(FAMILIES))
trained_families = pytest.mark.parametrize("family", TRAINED_FAMILIES)


@pytest.fixture(autouse=True)
def optional_packages(request):
    if hasattr(request.node, "callspec") and request.node.callspec.params.get("family") == "reranker":
        require_lightgbm()


def restored(family, **given):
    model = fit(family, given=given) if given else fitted(family)
    return model_from_bytes(family, model.parameters, model_to_bytes(model, shop()))


def answer(family, rows, k, catalog=None, **options):
    """Recommend with a fitted family: the fitted model on the shop, its restored copy on another catalogue."""
    model = fitted(family) if catalog is None else restored(family)
    return recommend(model.scorer(catalog or shop()), Sequences.from_lists(rows), k, **options)


# --- what comes first ---


@pytest.mark.parametrize("family", sorted(family for family, expected in EXPECTED.items() if expected.knows_next))
def test_the_next_item_of_the_ring_comes_first(family):
    _, lists = recommend(fitted(family).scorer(shop()), cases().inputs, 1)
    assert (lists[:, 0] == cases().targets).mean() > 0.9


# --- the form of the lists ---


@every_family
@pytest.mark.parametrize("k", [1, 10, ITEMS + 5])
@pytest.mark.parametrize("allow_repeats", [False, True])
def test_lists_are_dense_unique_descending_and_as_long_as_they_can_be(family, k, allow_repeats):
    rows = walks(20, seed=3, shortest=1, longest=5)
    scores, lists = answer(family, rows, k, allow_repeats=allow_repeats)
    assert scores.dtype == np.float32
    assert lists.dtype == np.int32
    assert scores.shape == lists.shape == (len(rows), k)
    for row, own in enumerate(rows):
        wanted = rankable(family, own) - (set() if allow_repeats else set(own))
        length = min(k, len(wanted))
        found = lists[row, :length]
        assert len(set(found)) == length
        assert set(found) <= wanted
        assert (lists[row, length:] == -1).all()
        assert (scores[row, length:] == -np.inf).all()
        assert np.isfinite(scores[row, :length]).all()
        assert (np.diff(scores[row, :length]) <= 0).all()


@every_family
def test_own_items_come_back_only_where_repeats_are_allowed(family):
    row = [int(item) for item in INDEX[1, :4]]
    _, without = answer(family, [row], ITEMS)
    _, repeated = answer(family, [row], ITEMS, allow_repeats=True)
    assert not set(row) & set(without[0])
    assert set(row) < set(repeated[0])


@every_family
def test_items_older_than_a_models_window_are_not_recommended_either(family):
    row = [*INDEX[0], *INDEX[1], *INDEX[2, :4]]
    _, lists = answer(family, [row], ITEMS)
    assert set(lists[0]) - {-1} == rankable(family, row) - set(row)


@every_family
def test_items_that_are_not_allowed_are_never_recommended(family):
    allowed = np.ones(ITEMS, np.bool_)
    allowed[INDEX[:, ::2]] = False
    rows = walks(20, seed=4, shortest=1, longest=5)
    _, lists = answer(family, rows, ITEMS, allowed_mask=allowed)
    for row, own in enumerate(rows):
        assert set(lists[row]) - {-1} == set(np.flatnonzero(allowed)) & rankable(family, own) - set(own)


@every_family
def test_nothing_allowed_gives_empty_lists(family):
    scores, lists = answer(family, [[0, 1]], 5, allowed_mask=np.zeros(ITEMS, np.bool_))
    assert (lists == -1).all()
    assert (scores == -np.inf).all()


@every_family
def test_equal_scores_are_ordered_by_index(family):
    catalog = grown_shop()
    rows = [[int(catalog.find_indices(shop().item_ids[[item]])[0])] for item in INDEX[0]]
    # no two items of a part's list have one place
    given = {"fusion": {"method": "score"}, "reranker": {"method": "score", "rounds": 0}}.get(family, {})
    scorer = restored(family, **given).scorer(catalog)
    scores, lists = recommend(scorer, Sequences.from_lists(rows), len(catalog))
    equal = (scores[:, 1:] == scores[:, :-1]) & (lists[:, 1:] >= 0)
    assert (np.diff(lists)[equal] > 0).all()
    if EXPECTED[family].recommends_cold:  # the two cold items have the same vector, so there are equal scores
        assert equal.any()


@every_family
def test_without_readable_items_only_families_that_answer_everyone_recommend(family):
    catalog = grown_shop()
    blank = int(catalog.find_indices(np.array([BLANK_ID], np.object_))[0])
    rows = [[], [blank], [blank, blank]]
    scores, lists = answer(family, rows, 5, catalog=catalog)
    if EXPECTED[family].answers_everyone:
        assert (lists >= 0).all()
    else:
        assert (lists == -1).all()
        assert (scores == -np.inf).all()


@every_family
def test_no_sequences_give_no_lists(family):
    scores, lists = answer(family, [], 5)
    assert scores.shape == lists.shape == (0, 5)


@every_family
def test_lists_do_not_depend_on_the_other_sequences(family):
    rows = [*walks(30, seed=5, shortest=1, longest=6), [], [*INDEX[0], *INDEX[1]]]
    scores, lists = answer(family, rows, 10)
    for row, own in enumerate(rows):
        alone_scores, alone_lists = answer(family, [own], 10)
        assert alone_lists[0].tolist() == lists[row].tolist()
        np.testing.assert_allclose(alone_scores[0], scores[row], atol=1e-5)


@every_family
def test_lists_do_not_depend_on_the_size_of_chunks(family, monkeypatch):
    rows = walks(30, seed=5, shortest=1, longest=6)
    scores, lists = answer(family, rows, 10)
    monkeypatch.setattr("jobs.models.scorer.SEQUENCES_PER_CHUNK", 7)
    chunked_scores, chunked_lists = answer(family, rows, 10)
    assert chunked_lists.tolist() == lists.tolist()
    np.testing.assert_allclose(chunked_scores, scores, atol=1e-5)


# --- keeping a model, and using it on another day's catalogue ---


@every_family
def test_a_stored_model_gives_identical_lists(family):
    wanted_scores, wanted_lists = recommend(fitted(family).scorer(shop()), cases().inputs, 10)
    scores, lists = recommend(restored(family).scorer(shop()), cases().inputs, 10)
    assert lists.tolist() == wanted_lists.tolist()
    assert scores.tolist() == wanted_scores.tolist()


@every_family
def test_a_model_stored_twice_is_the_same_bytes(family):
    assert model_to_bytes(restored(family), shop()) == model_to_bytes(fitted(family), shop())


def scores_by_id(scores, items, catalog):
    return {catalog.item_ids[item]: score for score, item in zip(scores, items, strict=True) if item >= 0}


@every_family
def test_a_catalogue_with_lost_and_new_items_leaves_the_others_scores(family):
    old, new = shop(), grown_shop()
    rows = [row for row in walks(30, seed=6, shortest=1, longest=5) if LOST not in row]
    moved = [new.find_indices(old.item_ids[row]).tolist() for row in rows]
    before = answer(family, rows, len(old))
    after = answer(family, moved, len(new), catalog=new)
    for row in range(len(rows)):
        wanted = scores_by_id(before[0][row], before[1][row], old)
        found = scores_by_id(after[0][row], after[1][row], new)
        stayed = sorted(set(wanted) & set(found))
        assert len(stayed) == len(rankable(family, rows[row]) - {LOST} - set(rows[row]))
        if not EXPECTED[family].scores_ranks:  # a new item lowers the ranks of others, and with them such scores
            np.testing.assert_allclose([found[id_] for id_ in stayed], [wanted[id_] for id_ in stayed], atol=1e-5)
        assert BLANK_ID not in found


@every_family
def test_cold_items_with_an_embedding_are_recommended_by_families_that_read_embeddings(family):
    catalog = grown_shop()
    block, place = TWIN_PLACE
    row = catalog.find_indices(shop().item_ids[INDEX[block, place - 3 : place]]).tolist()
    _, nearest_few = answer(family, [row], 6, catalog=catalog)
    _, all_items = answer(family, [row], len(catalog), catalog=catalog)
    if EXPECTED[family].recommends_cold:
        assert set(COLD_IDS) <= set(catalog.item_ids[nearest_few[0]])
    else:
        assert not set(COLD_IDS) & set(catalog.item_ids[all_items[0][all_items[0] >= 0]])


@every_family
def test_a_visitor_of_cold_items_alone_gets_items_of_their_block_where_embeddings_are_read(family):
    catalog = grown_shop()
    row = catalog.find_indices(np.array(COLD_IDS, np.object_)).tolist()
    _, lists = answer(family, [row], 3, catalog=catalog)
    block = set(shop().item_ids[INDEX[TWIN_PLACE[0]]])
    if EXPECTED[family].recommends_cold:
        assert set(catalog.item_ids[lists[0]]) <= block
    elif not EXPECTED[family].answers_everyone:
        assert (lists == -1).all()


@every_family
def test_items_are_recommendable_by_their_events_or_their_embeddings(family):
    catalog = Catalog(shop().item_ids, shop().embeddings.copy(), shop().available_mask, shop().titles)
    no_events, no_embedding, neither = 4, 9, 17
    catalog.embeddings[[no_embedding, neither]] = 0
    wanted = np.ones(ITEMS, np.bool_)
    wanted[[no_events, neither]] = False
    train = training().keep_items(wanted)
    model = fit(family, train=train, catalog=catalog, epochs=1)
    recommendable = set(np.flatnonzero(model.scorer(catalog).recommendable_mask))
    lost = {
        "popularity": {no_events, neither},
        "llmseqsim": {no_embedding, neither},
        "llmseqprompt": set(),  # a language model can name any item that has a title
        "bert4rec": {no_events, neither},
        "llm2bert4rec": {neither},
        "markov": {no_events, neither},
        "itemknn": {no_events, neither},
        "ease": {no_events, neither},
        "sknn": {no_events, neither},
        "vsknn": {no_events, neither},
        "sknnemb": {no_events, neither},
        "sasrec": {no_events, neither},
        "llm2sasrec": {neither},
        "fusion": {neither},
        "reranker": {neither},
        "gru4rec": {no_events, neither},
        "llm2gru4rec": {neither},
    }
    assert recommendable == set(range(ITEMS)) - lost[family]


# --- training ---


@every_family
def test_the_same_seed_gives_the_same_weights(family):
    first, second = (model_to_bytes(fit(family, seed=7, epochs=2), shop()) for _ in range(2))
    assert first == second


@trained_families
def test_another_seed_gives_other_weights(family):
    first, second = (fit(family, seed=seed, epochs=1).state()["network.table"] for seed in (7, 8))
    assert np.abs(first - second).max() > 1e-3


@every_family
def test_a_fit_leaves_the_callers_random_numbers_alone(family):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit(family, epochs=1)
    assert torch.rand(3).tolist() == wanted.tolist()


@every_family
def test_targets_without_a_pattern_are_hit_by_chance_alone(family):
    generator = np.random.default_rng(9)
    rows = [generator.permutation(ITEMS)[: generator.integers(3, 7)].tolist() for _ in range(720)]
    tests = held_out(rows[420:])
    model = fit(family, train=Sequences.from_lists(rows[:320]), validation=held_out(rows[320:420]), epochs=5)
    _, lists = recommend(model.scorer(shop()), tests.inputs, 10)
    share = (lists == tests.targets[:, None]).any(axis=1).mean()
    chance = (10 / (ITEMS - tests.inputs.lengths)).mean()
    assert abs(share - chance) < 0.1  # more than three standard errors of 300 cases


@every_family
def test_validation_targets_decide_nothing_but_when_to_stop(family):
    shuffled = Cases(cases().inputs, np.random.default_rng(3).permutation(cases().targets))
    # validation also chooses hyper-parameters, but for those that are given
    if family in FUSIONS:
        given = {"parameters": {part: {"recency": 0.5} for part in EXPECTED[family].parameters["parts"]}}
        given |= {"rounds": 0} if family == "reranker" else {}  # trees learn from the targets, and so do the weights
    else:
        given = {name: FAMILIES[family].defaults[name] for name in fitted(family).parameters_to_choose}
    first, second = (fit(family, given=given, validation=chosen, epochs=1) for chosen in (cases(), shuffled))
    if family in FUSIONS:  # validation chooses the weights of a fusion
        assert not np.array_equal(first.weights, second.weights)
        second.weights = first.weights
    assert model_to_bytes(first, shop()) == model_to_bytes(second, shop())


@every_family
def test_a_fit_needs_no_validation_cases(family):
    nothing = Cases(Sequences.from_lists([]), np.empty(0, np.int64))
    _, lists = recommend(fit(family, validation=nothing, epochs=1).scorer(shop()), cases().inputs, 2)
    assert (lists >= 0).all()


@trained_families
def test_sequences_of_one_item_do_not_change_a_trained_model(family):
    extra = Sequences.from_lists([*walks(320, seed=1, shortest=3, longest=5), [0], [], [1]])
    assert model_to_bytes(fit(family, train=extra, epochs=1), shop()) == model_to_bytes(fit(family, epochs=1), shop())


# --- reasons ---


@every_family
def test_the_reason_is_the_visitors_item_nearest_to_the_recommended_one(family):
    row = [int(INDEX[0, 0]), int(INDEX[1, 2]), int(INDEX[0, 3])]
    items = np.array([[INDEX[1, 3], INDEX[0, 4], -1]], np.int32)
    scorer = fitted(family).scorer(shop())
    found = scorer.reason_items(Sequences.from_lists([row]), items)
    assert found.dtype == np.int32
    assert found[0, 2] == -1
    if EXPECTED[family].ranks != "all" or family in FUSIONS:
        assert found[0, :2].tolist() == [INDEX[1, 2], INDEX[0, 3]]  # the item of the same block, next in the ring
    elif EXPECTED[family].is_trained:  # sequential/test_reasons.py tests the exact reasons
        assert set(found[0, :2]) <= set(row)
    elif EXPECTED[family].explains:
        vectors = (scorer.question_writer.llmseqsim_scorer if family == "llmseqprompt" else scorer).item_vectors.numpy()
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        nearest = [row[(unit[row] @ unit[item]).argmax()] for item in items[0, :2]]
        assert found[0, :2].tolist() == nearest
    else:
        assert (found == -1).all()
