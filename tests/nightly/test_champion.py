"""The rule that chooses the live model: at first the best value wins, later only a difference above noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.bootstrap import bootstrap_interval
from jobs.evaluation.interim_looks import CaseValuesAtLook
from jobs.nightly.champion import MIN_DIFFERING_CASES, Entrant, Incumbent, choose_live_model, compare_on_same_cases

CASES = 200
BASE = np.random.default_rng(0).random(CASES) / 2


def entrant(family, gain=0.0, version="1", cases="same", values=BASE):
    """Return a model whose value is better by ``gain`` in every case."""
    return Entrant(f"{family}-{version}", family, cases, values + gain)


def incumbent(model, **more):
    return Incumbent(model, "live: it won", **more)


def noisy(seed, spread=0.4):
    drawn = np.random.default_rng(seed).normal(0, spread, CASES)
    return drawn - drawn.mean()


def live(decisions):
    [chosen] = [decision for decision in decisions if decision.is_live]
    assert chosen is decisions[0]
    return chosen


def reasons(decisions):
    return {decision.model_version: decision.reason for decision in decisions}


def test_the_first_night_takes_the_best_value():
    decisions = choose_live_model([entrant("popularity"), entrant("vsknn", 0.1), entrant("sasrec", 0.1)], None)
    assert live(decisions).model_version == "vsknn-1", "of equal ones the first that is set"
    assert live(decisions).reason.startswith("live: best value, 0.3")
    assert reasons(decisions)["popularity-1"] == "not live: -0.1000 [-0.1218, -0.0782] against vsknn, which is better"
    assert live(choose_live_model([entrant("popularity")], None)).reason == "live: first model"
    assert choose_live_model([], None) == []


def test_the_first_night_compares_values_of_the_same_cases_alone():
    apart, unknown = entrant("sasrec", 0.5, cases="easy"), Entrant("sknn-1", "sknn", None, BASE + 0.6)
    decisions = choose_live_model([unknown, apart, entrant("popularity"), entrant("vsknn", 0.1)], None)
    assert live(decisions).model_version == "vsknn-1"
    for version in ("sasrec-1", "sknn-1"):
        assert reasons(decisions)[version].startswith("not live: not measured on the cases of vsknn")
    assert live(choose_live_model([unknown, apart], None)).model_version == "sasrec-1"


def test_models_without_a_case_are_taken_in_their_order():
    none = np.empty(0)
    assert (
        live(choose_live_model([entrant("sasrec", values=none), entrant("vsknn", values=none)], None)).family
        == "sasrec"
    )
    assert (
        live(choose_live_model([Entrant("vsknn-1", "vsknn")], incumbent(Entrant("vsknn-0", "vsknn")))).family == "vsknn"
    )


def test_a_challenger_wins_by_more_than_noise_and_says_by_how_much():
    old = entrant("vsknn")
    decisions = choose_live_model([old, entrant("sasrec", 0.05)], incumbent(old))
    chosen = live(decisions)
    assert chosen.reason == "live: +0.0500 [0.0400, 0.0600] over vsknn"
    assert (chosen.opponent_version, chosen.comparison.mean) == ("vsknn-1", pytest.approx(0.05))
    assert reasons(decisions)["vsknn-1"] == "not live: -0.0500 [-0.0600, -0.0400] against sasrec, which is better"


def test_a_challenger_within_noise_does_not():
    old, challenger = entrant("vsknn"), entrant("sasrec", 0.01 + noisy(1))
    assert challenger.mean_value > old.mean_value
    decisions = choose_live_model([old, challenger], incumbent(old))
    assert live(decisions).reason == "live: it won"
    assert reasons(decisions)["sasrec-1"].startswith("not live: +0.0")
    assert reasons(decisions)["sasrec-1"].endswith("over vsknn is within noise")


@pytest.mark.parametrize(("differing", "wins"), [(7, False), (8, True)])
def test_a_handful_of_cases_is_noise_whatever_they_say(differing, wins):
    old, challenger = (entrant("vsknn", values=np.zeros(differing)), entrant("sasrec", 1, values=np.zeros(differing)))
    assert (live(choose_live_model([old, challenger], incumbent(old))).family == "sasrec") == wins


@pytest.mark.parametrize(("differing", "stays"), [(MIN_DIFFERING_CASES - 1, False), (MIN_DIFFERING_CASES, True)])
def test_a_handful_of_cases_does_not_keep_an_older_model_of_the_family(differing, stays):
    old, new = (entrant("vsknn", 1, values=np.zeros(differing)), entrant("vsknn", 0, "2", values=np.zeros(differing)))
    assert (live(choose_live_model([new], incumbent(old))).model_version == "vsknn-1") == stays


def test_more_challengers_need_more_evidence():
    old, better = entrant("vsknn"), entrant("sasrec", 0.09 + noisy(1))
    others = [entrant(f"other{number}", noisy(number)) for number in range(2, 13)]
    assert live(choose_live_model([old, better], incumbent(old))).family == "sasrec"
    assert live(choose_live_model([old, better, *others], incumbent(old))).family == "vsknn"


def test_a_small_gain_wins_once_enough_looks_have_seen_it():
    """A single look at as many cases is within noise, also the hundredth one at the same cases."""
    old = [CaseValuesAtLook(str(week), BASE, np.ones(CASES, np.bool_)) for week in range(9)]
    new = [CaseValuesAtLook(str(week), BASE + 0.03 + noisy(week), np.ones(CASES, np.bool_)) for week in range(9)]
    seen = [CaseValuesAtLook(look.cases_hash, look.case_values, np.zeros(CASES, np.bool_)) for look in new]

    def decide(looks, is_new):
        challenger = Entrant("sasrec-1", "sasrec", "same", BASE + 0.03 + noisy(9), looks, is_new)
        defender = Entrant("vsknn-1", "vsknn", "same", BASE, old)
        return live(choose_live_model([defender, challenger], incumbent(defender))).family

    assert decide([], None) == "vsknn"
    assert decide(new, np.ones(CASES, np.bool_)) == "sasrec"
    assert decide(seen, np.zeros(CASES, np.bool_)) == "vsknn"


def test_of_several_winners_the_best_value_is_taken_then_the_order():
    old = entrant("vsknn")
    winners = [entrant("bert4rec", 0.05), entrant("sasrec", 0.1), entrant("llm2sasrec", 0.1)]
    decisions = choose_live_model([*winners, old], incumbent(old))
    assert live(decisions).family == "sasrec"
    assert "within noise" in reasons(decisions)["llm2sasrec-1"]


def test_a_newer_model_of_the_same_family_follows_without_a_contest():
    old, new = entrant("vsknn", cases="old"), entrant("vsknn", -0.2, version="2", cases="new")
    decisions = choose_live_model([new, entrant("sasrec", cases="new", gain=-0.2 + noisy(3))], incumbent(old))
    assert live(decisions).model_version == "vsknn-2"
    assert reasons(decisions)["vsknn-1"] == "not live: another vsknn took its place"


def test_but_stays_out_if_it_is_worse_on_the_same_cases():
    old, new = entrant("vsknn"), entrant("vsknn", -0.2, version="2")
    decisions = choose_live_model([new], incumbent(old))
    assert live(decisions).model_version == "vsknn-1"
    assert reasons(decisions)["vsknn-2"].endswith("against another vsknn, which is better")
    assert (
        live(choose_live_model([new], incumbent(old, why_unusable="its weights are gone"))).model_version == "vsknn-2"
    )


def test_a_challenger_has_to_beat_the_newest_of_the_family():
    old, new = entrant("vsknn", cases="old"), entrant("vsknn", version="2")
    assert live(choose_live_model([new, entrant("sasrec", 0.1)], incumbent(old))).family == "sasrec"


def test_models_of_other_cases_are_not_compared():
    old = entrant("vsknn", cases="old")
    decisions = choose_live_model([old, entrant("sasrec", 0.5, cases="new")], incumbent(old))
    assert live(decisions).family == "vsknn"
    assert reasons(decisions)["sasrec-1"].startswith("not live: not measured on the cases of vsknn")
    assert compare_on_same_cases(Entrant("a", "a"), Entrant("b", "b")) is None, "unknown cases are not the same"


def test_a_pinned_model_stays_even_if_its_family_is_not_set_any_more():
    pinned = entrant("popularity")
    decisions = choose_live_model([entrant("sasrec", 0.5)], incumbent(pinned, is_pinned=True))
    assert live(decisions).model_version == "popularity-1"
    assert reasons(decisions)["sasrec-1"].endswith("over popularity; popularity is pinned")
    newer = entrant("popularity", version="2", cases="new")
    assert live(choose_live_model([newer], incumbent(pinned, is_pinned=True))).model_version == "popularity-1"


@pytest.mark.parametrize("is_pinned", [False, True])
def test_a_model_that_can_not_stay_is_followed_by_its_family_else_by_the_best(is_pinned):
    gone = incumbent(entrant("vsknn"), is_pinned=is_pinned, why_unusable="its weights are gone")
    newer, better = entrant("vsknn", version="2", cases="new"), entrant("sasrec", 0.2)
    assert live(choose_live_model([better, newer], gone)).model_version == "vsknn-2"
    decisions = choose_live_model([entrant("popularity"), better], gone)
    assert live(decisions).family == "sasrec"
    assert reasons(decisions)["vsknn-1"] == "not live: its weights are gone"


FAMILIES = ("popularity", "vsknn", "bert4rec", "sasrec")
worlds = st.tuples(
    st.integers(0, 2**32 - 1), st.integers(0, 60), st.sampled_from([0.0, 0.02, 0.1, 0.3]), st.permutations(FAMILIES)
)


@given(worlds)
def test_a_challenger_within_noise_never_changes_the_live_model(world):
    seed, cases, gain, families = world
    generator = np.random.default_rng(seed)
    models = [
        Entrant(name, name, "same", generator.choice([0.0, 0.5, 1.0], cases) + gain * generator.random())
        for name in families
    ]
    old = models[int(generator.integers(len(models)))]
    chosen = live(choose_live_model(models, incumbent(old)))
    beaten_by = {
        model.family for model in models if cases and bootstrap_interval(model.case_values - old.case_values)[0] > 0
    }
    assert chosen.family in beaten_by | {old.family}
    again = choose_live_model(models, Incumbent(next(m for m in models if m.family == chosen.family), chosen.reason))
    assert live(again).model_version == chosen.model_version, "the choice stands when nothing is new"
    assert live(again).reason == chosen.reason
