"""The interval of uplift: its formula, and how often it misses when somebody looks every day."""

from datetime import date, timedelta
from math import log, sqrt

import duckdb
import numpy as np
import pytest

from benchmarks.outcomes import MEASURES, check_intervals_daily, draw_experiments
from jobs.dbt_vars import default_vars
from jobs.warehouse.dbt_macros import dbt_macros

ALPHA = 0.05


def test_a_row_counts_all_visitors_so_far_by_the_stated_formula():
    random = np.random.default_rng(0)
    rows = [
        (day, "control" if place < 40 else "model", float(random.poisson(2) if place < 90 else 0))
        for day in range(3)
        for place in range(120)
    ]
    with duckdb.connect() as warehouse:
        warehouse.execute(
            "create table visitors (placement varchar, measure varchar, day date, arm varchar, outcome double)"
        )
        first = date(2026, 1, 1)
        for day, arm, outcome in rows:
            values = ["home", "view", first + timedelta(days=day), arm, outcome]
            warehouse.execute("insert into visitors values (?, ?, ?, ?, ?)", values)
        sql = dbt_macros(dbt_vars=default_vars()).uplift_by_day("visitors", "outcome", str(ALPHA))
        found = warehouse.execute(f"{sql} order by day").fetchall()
    assert [row[2] for row in found] == [first + timedelta(days=day) for day in range(3)]
    for last, row in enumerate(found):
        outcomes = {
            arm: np.array([outcome for day, of, outcome in rows if day <= last and of == arm])
            for arm in ("model", "control")
        }
        model, control = outcomes["model"], outcomes["control"]
        both = np.concatenate([model, control])
        squared_error = sum(max(arm.var(ddof=1), both.var(ddof=1)) / len(arm) for arm in (model, control))
        n, rho2 = len(both), (-2 * log(ALPHA) + log(-2 * log(ALPHA)) + 1) / 10_000
        half = sqrt(n * squared_error) * sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * log(sqrt(n * rho2 + 1) / ALPHA))
        uplift = model.mean() - control.mean()
        expected = [len(model), len(control), model.mean(), control.mean(), uplift, uplift - half, uplift + half]
        assert row[3:10] == pytest.approx(expected)
        assert row[10] == pytest.approx(uplift / control.mean())


def test_there_is_no_interval_before_each_arm_has_enough_outcomes():
    with duckdb.connect() as warehouse:
        warehouse.execute(
            "create table visitors as select 'home' as placement, 'view' as measure, "
            "date '2026-01-01' + day::integer as day, arm, 1.0 as outcome "
            "from range(2) as days (day), range(13), (values ('model'), ('control')) as arms (arm)"
        )
        sql = dbt_macros(dbt_vars=default_vars()).uplift_by_day("visitors", "outcome", str(ALPHA))
        rows = warehouse.execute(f"select visitors, uplift, uplift_low from ({sql}) order by day").fetchall()
    assert rows == [(13, 0.0, None), (26, 0.0, 0.0)]


COUNT = 100
# of a hundred experiments, more than 10 miss with a probability of 1 % if 5 % do
CHANCE = 10 / COUNT


@pytest.mark.parametrize("name", ["view", "revenue"])
@pytest.mark.parametrize("mean_ratio", [1.0, 1.3])
def test_the_interval_holds_on_all_days_together(name, mean_ratio):
    measure = MEASURES[name]
    columns = draw_experiments(
        measure,
        experiment_count=COUNT,
        visitors_per_experiment=4000,
        entry_day_count=30,
        control_share=0.5,
        mean_ratio=mean_ratio,
        seed=5,
    )
    looks = check_intervals_daily(columns, (mean_ratio - 1) * measure.control_mean)
    assert looks.mean_count_of_days_with_interval > 10
    assert looks.always_covered_share >= 1 - CHANCE
    assert looks.end_covered_share >= 1 - CHANCE
    if mean_ratio == 1:
        assert looks.alarm_share <= CHANCE
        # the interval that holds for one look alone
        assert looks.naive_alarm_share > CHANCE


def test_the_interval_finds_a_large_uplift():
    columns = draw_experiments(
        MEASURES["view"],
        experiment_count=20,
        visitors_per_experiment=8000,
        entry_day_count=30,
        control_share=0.5,
        mean_ratio=1.5,
        seed=1,
    )
    assert check_intervals_daily(columns, 0.5 * MEASURES["view"].control_mean).alarm_share > 0.9
