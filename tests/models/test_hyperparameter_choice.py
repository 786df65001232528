"""Hyper-parameters that a fit chooses itself: beyond chance, on few cases too, and kept with the model."""

import numpy as np
import pytest
from known_answers import cases, fit, held_out, shop, training, walks

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.hyperparameter_choice import beats_by_more_than_chance, choose_parameter_value
from jobs.models.registry import FAMILIES, make_model
from jobs.models.scorer import LONG_LIST_LENGTH, MANY_VALIDATION_CASES, case_ndcgs, recommend, validation_list_length
from jobs.models.sequential.model import choose_window
from jobs.nightly.model_store import model_from_bytes, model_to_bytes

TINY = {"width": 8, "epochs": 1, "epoch_steps": 1}
FAMILIES_WITH_RECENCY = {
    "sknn": {},
    "vsknn": {},
    "sknnemb": {},
    "llmseqsim": {},
    "sasrec": TINY,
    "llm2bert4rec": TINY,
    "gru4rec": {**TINY, "hidden": 8},
}


def drifting():
    """Training sequences of which the newest tenth all end in one item, which no case has as its target."""
    rows = walks(320, seed=1, shortest=3, longest=5)
    favourite = cases().targets[0]
    newest = [[*row[:-1], int(favourite)] for row in rows[-32:]]
    other = [case for case in walks(200, seed=2, shortest=4, longest=6) if case[-1] != favourite]
    return Sequences.from_lists([*rows[:-32], *newest]), held_out(other)


def test_chance_decides_no_choice():
    values = np.array([0.0, 1.0] * 50)
    assert not beats_by_more_than_chance(values, values)
    assert not beats_by_more_than_chance(values, np.roll(values, 1))
    assert beats_by_more_than_chance(values + 0.1, values)
    assert not beats_by_more_than_chance(np.ones(1), np.zeros(1))


def test_the_best_of_the_values_that_beat_the_default_is_chosen():
    scores = {0: np.zeros(20), 1: np.full(20, 0.3), 2: np.full(20, 0.2), 3: np.array([9.0] + [-0.1] * 19)}
    assert choose_parameter_value(0, [2, 1, 3], scores.__getitem__) == 1  # 3 has the best mean, by the luck of one case
    assert choose_parameter_value(1, [2], scores.__getitem__) == 1


@pytest.mark.parametrize("family", FAMILIES_WITH_RECENCY)
def test_a_harmful_recency_is_switched_off_and_stays_off_in_the_stored_model(family):
    train, validation = drifting()
    parameters = FAMILIES_WITH_RECENCY[family]
    default = FAMILIES[family].defaults["recency"]
    model = make_model(family, parameters)
    # a weight this large lets the favourite lead every list, so that the harm is beyond chance in a tiny network too
    model.parameters["recency"] = model.chosen_parameters["recency"] = 20 * default
    model.fit(train, validation, shop(), FitOptions())
    assert model.chosen_parameters["recency"] == 0
    assert model.refit(train, shop(), FitOptions()).chosen_parameters["recency"] == 0
    restored = model_from_bytes(family, {**parameters, "recency": default}, model_to_bytes(model, shop()))
    assert restored.chosen_parameters["recency"] == 0
    found, wanted = (recommend(each.scorer(shop()), validation.inputs, 5)[1] for each in (restored, model))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("family", ["vsknn", "llmseqsim"])
def test_a_recency_that_is_given_is_kept(family):
    train, validation = drifting()
    assert fit(family, train=train, validation=validation, given={"recency": 3.0}).chosen_parameters["recency"] == 3.0


def test_the_default_is_kept_where_nothing_drifts_or_nothing_is_held_out():
    assert fit("vsknn").chosen_parameters["recency"] == FAMILIES["vsknn"].defaults["recency"]
    nothing = Cases(Sequences.from_lists([]), np.empty(0, np.int64))
    model = make_model("vsknn")
    model.fit(drifting()[0], nothing, shop(), FitOptions())
    assert model.chosen_parameters["recency"] == FAMILIES["vsknn"].defaults["recency"]


def test_models_stored_before_there_were_choices_have_their_parameters():
    model = make_model("vsknn", {"recency": 0.25})
    model.fit(training(), cases(), shop(), FitOptions())
    state = {name: array for name, array in model.state().items() if not name.startswith("chosen.")}
    old = make_model("vsknn", {"recency": 0.25})
    old.restore(state, shop())
    assert old.chosen_parameters == {"recency": 0.25}


def test_few_cases_are_told_apart_by_longer_lists():
    assert validation_list_length(MANY_VALIDATION_CASES) == 20
    assert validation_list_length(MANY_VALIDATION_CASES - 1) == LONG_LIST_LENGTH
    # a target at place 25 is worth nothing in a list of 20, and something in a longer one
    model = fit("popularity")
    _, lists = recommend(model.scorer(shop()), Sequences.from_lists([[]]), 30)
    case = Cases(Sequences.from_lists([[]]), np.array([lists[0, 24]]))
    assert case_ndcgs(model.scorer(shop()), case) == pytest.approx([1 / np.log2(26)])


def test_the_window_holds_nine_of_ten_sequences():
    lengths = np.array([5] * 90 + [1000] * 10)
    assert choose_window(lengths, 20) == 20
    assert choose_window(lengths[1:], 20) == 100
    assert choose_window(np.array([30] * 10), 20) == 50
    assert choose_window(np.array([], np.int64), 20) == 20


@pytest.mark.parametrize("family", ["sasrec", "bert4rec", "gru4rec"])
def test_a_window_for_long_sequences_is_kept_with_the_model(family):
    long = Sequences.from_lists([row * 8 for row in walks(40, seed=1, shortest=4, longest=5)])
    parameters = {**TINY, "hidden": 8} if family == "gru4rec" else TINY
    model = make_model(family, parameters)
    model.fit(long, held_out(walks(10, seed=2, shortest=4, longest=6)), shop(), FitOptions())
    assert model.chosen_parameters["window"] == 50
    again = model.refit(long, shop(), FitOptions())
    assert again.chosen_parameters["window"] == 50
    restored = model_from_bytes(family, again.parameters, model_to_bytes(again, shop()))
    found, wanted = (recommend(each.scorer(shop()), long, 5)[1] for each in (restored, again))
    np.testing.assert_array_equal(found, wanted)
    given = make_model(family, {**parameters, "window": 4})
    given.fit(long, cases(), shop(), FitOptions())
    assert given.chosen_parameters["window"] == 4
