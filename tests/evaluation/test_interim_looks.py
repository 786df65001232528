"""The comparison of two models over many looks: each case counts once, and equal models stay within the interval."""

import numpy as np
import pytest

from jobs.evaluation.interim_looks import CaseValuesAtLook, compare_over_interim_looks


def look(name, values, is_new=None):
    values = np.asarray(values, np.float64)
    return CaseValuesAtLook(name, values, np.ones(len(values), np.bool_) if is_new is None else np.asarray(is_new))


def test_the_first_shared_look_counts_whole_and_later_ones_with_their_new_cases():
    model = [look("alone", [9]), look("a", [1, 2], [False, False]), look("b", [5, 5, 4], [False, False, True])]
    baseline = [look("a", [0, 0]), look("b", [0, 0, 0]), look("other", [9])]
    difference = compare_over_interim_looks(model, baseline)
    assert difference.mean == pytest.approx((1 + 2 + 4) / 3)
    assert difference.ci_low < difference.mean < difference.ci_high
    assert compare_over_interim_looks([look("a", [1])], [look("b", [1])]) is None
    assert compare_over_interim_looks([], []) is None


def test_the_interval_narrows_with_the_cases_and_widens_with_what_it_promises():
    random = np.random.default_rng(0)
    few, many = (
        compare_over_interim_looks([look("a", random.normal(0, 1, n))], [look("a", np.zeros(n))]) for n in (200, 2000)
    )
    assert few.ci_high - few.ci_low > 2 * (many.ci_high - many.ci_low)
    values = random.normal(0, 1, 200)
    loose, strict = (
        compare_over_interim_looks([look("a", values)], [look("a", np.zeros(200))], rate) for rate in (0.05, 0.004)
    )
    assert strict.ci_low < loose.ci_low < loose.ci_high < strict.ci_high


def test_equal_values_differ_by_nothing():
    same = [look("a", [0.0, 1.0])]
    assert compare_over_interim_looks(same, same).ci_high == 0


def test_a_first_look_without_a_difference_leaves_the_interval_to_the_looks_behind_it():
    """A prior that followed the evidence from look to look would give each look the interval of a single one."""
    first, second, third = [0.0, 0.0], [0.3, -0.2, 0.4], [1.0, -0.5, 0.7, 0.2]

    def compare(*values):
        numbered = list(enumerate(values))
        return compare_over_interim_looks(
            [look(str(number), of_look) for number, of_look in numbered],
            [look(str(number), np.zeros(len(of_look))) for number, of_look in numbered],
        )

    with_it, without_it = compare(first, second, third), compare(second, third)
    cases = len(second + third)
    assert (with_it.mean - with_it.ci_low) * (cases + len(first)) == pytest.approx(
        (without_it.mean - without_it.ci_low) * cases
    )


def test_twelve_equal_models_looked_at_for_a_year_seldom_pass_the_interval():
    """At 95 % for each look alone, nearly every year has a false alarm."""
    random, years, passed, passed_by_one_look = np.random.default_rng(0), 12, 0, 0
    for _ in range(years):
        drawn = random.choice([0.0, 0.3, 1.0], p=[0.8, 0.15, 0.05], size=(13, 400 + 51 * 40))
        false_alarm = one_look_alarm = False
        for week in range(0, 52, 4):
            cases = slice(week * 40, week * 40 + 400)
            differences = drawn[1:, cases] - drawn[0, cases]
            t_values = differences.mean(axis=1) / (differences.std(axis=1) / 20)
            one_look_alarm |= bool((t_values > 1.96).any())
            for model in drawn[1:]:
                looks = [
                    [
                        look(str(number), values[number * 40 : number * 40 + 400], np.arange(400) >= 400 - 4 * 40)
                        for number in range(0, week + 1, 4)
                    ]
                    for values in (model, drawn[0])
                ]
                false_alarm |= compare_over_interim_looks(*looks, 0.05 / 12).ci_low > 0
        passed += false_alarm
        passed_by_one_look += one_look_alarm
    assert passed <= 2, "5 % of the years, and what chance adds"
    assert passed_by_one_look >= 8
