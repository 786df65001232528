"""Fusion: reuse of fitted parts, weights chosen on validation cases, and the part that gives the reason."""

import subprocess
import sys

import numpy as np
import pytest
from known_answers import cases, fit, shop, training, walks

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.models.base import FitOptions
from jobs.models.registry import make_model
from jobs.models.scorer import recommend
from jobs.nightly.model_store import model_to_bytes


def test_a_fusion_reuses_fitted_models_and_fits_a_repeated_family_with_another_seed():
    tiny = {"width": 8, "blocks": 1, "heads": 1, "epochs": 1, "epoch_steps": 1}
    known = fit("sasrec", **tiny)
    parts = {"parts": ["sasrec", "sasrec", "vsknn"], "parameters": {"sasrec": known.given_parameters}}
    fusion = make_model("fusion", parts)
    fusion.fit(training(), cases(), shop(), FitOptions(0, None, {"sasrec": known}))
    assert fusion.part_models[0] is known
    assert (fusion.part_models[1].network.table != known.network.table).any()
    other = make_model("fusion", {**parts, "parameters": {"sasrec": {**known.given_parameters, "width": 4}}})
    other.fit(training(), cases(), shop(), FitOptions(0, None, {"sasrec": known}))
    assert other.part_models[0] is not known


def test_a_refitted_fusion_has_refitted_parts_and_the_same_weights():
    fusion = make_model("fusion", {"parts": ["popularity", "vsknn"]})
    fusion.fit(training(), cases(), shop(), FitOptions())
    more = Sequences.from_lists([*training(), *walks(50, seed=3, shortest=3, longest=5)])
    again = fusion.refit(more, shop(), FitOptions(0))
    assert again.weights.tolist() == fusion.weights.tolist()
    for before, after in zip(fusion.part_models, again.part_models, strict=True):
        assert model_to_bytes(after, shop()) == model_to_bytes(before.refit(more, shop(), FitOptions(0)), shop())
        assert model_to_bytes(after, shop()) != model_to_bytes(before, shop())


def test_weights_are_chosen_on_repeated_items_too_where_lists_may_hold_them():
    known = training()
    again = Cases(
        known, np.array([known[row][-1] for row in range(len(known))], np.int64)
    )  # every target is among the inputs
    fusion = make_model("fusion", {"parts": ["popularity", "llmseqsim"]})
    fusion.fit(known, again, shop(), FitOptions())
    assert fusion.weights.tolist() == [0.5, 0.5]  # no list holds a target: nothing to choose by
    fusion.fit(known, again, shop(), FitOptions(allow_repeats=True))
    assert fusion.weights[1] > fusion.weights[0]


def test_weights_are_chosen_on_viewed_items_too_where_lists_may_hold_them():
    known = training()
    never_bought = Sequences(known.items, known.offsets, np.zeros(len(known.items), np.bool_))
    viewed = Cases(never_bought, np.array([known[row][-1] for row in range(len(known))], np.int64))
    fusion = make_model("fusion", {"parts": ["popularity", "llmseqsim"]})
    fusion.fit(known, viewed, shop(), FitOptions())
    assert fusion.weights[1] > fusion.weights[0]


def test_a_list_with_viewed_items_has_the_reasons_of_lists_that_hold_no_bought_item():
    rows = cases().inputs
    sequences = Sequences(rows.items, rows.offsets, np.arange(len(rows.items)) % 2 == 0)
    # each part lists one item, so that items which are wrongly let in would drive out those that were listed
    model = make_model("fusion", {"parts": ["vsknn", "llmseqsim"], "depth": 1, "equal_weights": True})
    model.fit(training(), cases(), shop(), FitOptions())
    scorer = model.scorer(shop())
    _, items = recommend(scorer, sequences, 2)
    is_viewed = [np.isin(listed, own).any() for listed, own in zip(items, sequences, strict=True)]
    assert np.any(is_viewed)
    assert (scorer.reason_items(sequences, items)[items >= 0] >= 0).all()


def test_reasons_are_those_of_the_part_that_contributes_most():
    fusion, sequences = make_model("fusion", {"parts": ["vsknn", "sknn"], "equal_weights": True}), cases().inputs
    fusion.fit(training(), cases(), shop(), FitOptions())
    _, items = recommend(fusion.scorer(shop()), sequences, 5)
    contributions, reasons = [], []
    for part in fusion.part_models:
        _, listed = recommend(part.scorer(shop()), sequences, fusion.parameters["depth"])
        scores = 1 / (fusion.parameters["constant"] + np.arange(1, listed.shape[1] + 1))
        contributions.append((items[:, :, None] == listed[:, None]) @ scores)
        reasons.append(part.scorer(shop()).reason_items(sequences, items))
    is_listed, first = items >= 0, contributions[0] >= contributions[1]
    for most in (first, ~first):
        assert (is_listed & most & (reasons[0] != reasons[1])).any()
    found = fusion.scorer(shop()).reason_items(sequences, items)
    np.testing.assert_array_equal(found[is_listed], np.where(first, *reasons)[is_listed])
    alone = make_model("fusion", {"parts": ["vsknn", "llmseqsim"], "equal_weights": True})
    alone.fit(training(), cases(), shop(), FitOptions())
    alone.weights = np.array([0.0, 1.0])
    _, items = recommend(alone.scorer(shop()), sequences, 5)
    np.testing.assert_array_equal(
        alone.scorer(shop()).reason_items(sequences, items),
        alone.part_models[1].scorer(shop()).reason_items(sequences, items),
    )


def test_items_that_are_not_allowed_do_not_hide_reasons():
    model = make_model("fusion", {"parts": ["vsknn", "llmseqsim"], "depth": 2})
    model.fit(training(), cases(), shop(), FitOptions())
    scorer, sequence = model.scorer(shop()), cases().inputs.take([0])
    _, best = recommend(scorer, sequence, 4)
    allowed = ~np.isin(np.arange(len(shop())), best)
    _, items = recommend(scorer, sequence, 2, allowed_mask=allowed)
    assert (items >= 0).all()
    assert (scorer.reason_items(sequence, items, allowed) >= 0).all()


def test_repeated_items_have_reasons_too():
    scorer, sequences = fit("fusion").scorer(shop()), cases().inputs
    _, items = recommend(scorer, sequences, 5, allow_repeats=True)
    is_own = np.array([np.isin(listed, own) for listed, own in zip(items, sequences, strict=True)])
    assert is_own.any()
    said = scorer.reason_items(sequences, items)
    assert (said[is_own] >= 0).all()
    alone = [scorer.reason_items(sequences.take([row]), items[[row]])[0] for row in range(len(items))]
    np.testing.assert_array_equal(said, alone)


def test_the_module_can_be_imported_first():
    subprocess.run([sys.executable, "-c", "import jobs.models.fusion"], check=True)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"parts": ["vsknn"]}, "two families"),
        ({"parts": ["vsknn", "llmseqsin"]}, "llmseqsim"),
        ({"parts": ["vsknn", "fusion"]}, "no family to fuse"),
        ({"method": "borda"}, "one of reciprocal_rank, score, not 'borda'"),
        ({"parameters": {"sasrec": {}}}, "sasrec"),
    ],
)
def test_an_impossible_fusion_is_refused_with_its_cause(parameters, said):
    with pytest.raises(UsageError, match=said):
        make_model("fusion", parameters)
