"""Simulate experiments with a known true uplift, and look at each experiment's interval every day, as a manager would.

In each experiment (A/B test) visitors enter day by day, a share of them in the control arm. What a visitor does
afterwards is drawn at random: views (negative binomial, with a variance of many times the mean), purchases (Poisson,
rare) and revenue (few buyers, lognormal orders, the largest of which are hundreds of times the usual ones). The means
in the arm with the model are those in the control arm, times a known factor. With the factor 1 (an A/A test) any
interval that excludes 0 is a false alarm. The SQL of ``recommendations.uplift`` computes the intervals, on DuckDB. Run:
``python -m benchmarks.outcomes``.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import numpy as np

from jobs.dbt_vars import default_vars
from jobs.errors import UsageError
from jobs.warehouse.dbt_macros import dbt_macros

ALPHA = 0.05


@dataclass(frozen=True)
class SimulatedMeasure:
    """A measure of what visitors do, such as purchases, with the distribution from which it is drawn.

    Attributes
    ----------
    draw_values : (Generator, float64 (visitors,)) -> float64 (visitors,)
        Draws the value of the measure for each visitor. The second argument is, for each visitor, the mean in the
        visitor's arm divided by the mean in the control arm.
    control_mean : float
        Mean of the measure in the control arm.
    """

    draw_values: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    control_mean: float


def _draw_views(random: np.random.Generator, mean_ratios: np.ndarray) -> np.ndarray:
    return random.poisson(random.gamma(0.3, 9 * mean_ratios)).astype(np.float64)


def _draw_purchases(random: np.random.Generator, mean_ratios: np.ndarray) -> np.ndarray:
    return random.poisson(0.05 * mean_ratios).astype(np.float64)


def _make_revenue_sampler(sigma: float) -> Callable[[np.random.Generator, np.ndarray], np.ndarray]:
    def draw_values(random: np.random.Generator, mean_ratios: np.ndarray) -> np.ndarray:
        return (random.random(len(mean_ratios)) < 0.03 * mean_ratios) * random.lognormal(3, sigma, len(mean_ratios))

    return draw_values


MEASURES = {
    "view": SimulatedMeasure(_draw_views, 2.7),
    "purchase": SimulatedMeasure(_draw_purchases, 0.05),
    "revenue": SimulatedMeasure(_make_revenue_sampler(1), 0.03 * float(np.exp(3 + 1 / 2))),
    "revenue of rare huge orders": SimulatedMeasure(_make_revenue_sampler(2), 0.03 * float(np.exp(3 + 4 / 2))),
}


@dataclass(frozen=True)
class DailyLookResults:
    """Results of looking at the intervals of many simulated experiments every day; all experiments have one measure.

    Attributes
    ----------
    always_covered_share, end_covered_share : float
        Shares of the experiments whose interval contained the true uplift on every day, and on the last day.
    alarm_share : float
        Share of the experiments whose interval excluded 0 on some day.
    naive_alarm_share : float
        Share of the experiments in which the textbook interval of 1.96 standard errors excluded 0 on some day. That
        interval is only valid for a single look.
    mean_count_of_days_with_interval : float
        Mean over the experiments: the number of days on which an interval could be computed.
    """

    always_covered_share: float
    end_covered_share: float
    alarm_share: float
    naive_alarm_share: float
    mean_count_of_days_with_interval: float


def draw_experiments(
    measure: SimulatedMeasure,
    *,
    experiment_count: int,
    visitors_per_experiment: int,
    entry_day_count: int,
    control_share: float,
    mean_ratio: float,
    seed: int,
) -> dict[str, np.ndarray]:
    """Draw the visitors of many experiments, each with an entry day, an arm, and a value of the measure.

    Parameters
    ----------
    experiment_count, visitors_per_experiment, entry_day_count : int
        Number of experiments, number of visitors in each, and number of days on which visitors enter.
    control_share : float
        Share of the visitors in the control arm.
    mean_ratio : float
        Mean of the measure in the arm with the model, divided by its mean in the control arm.

    Returns
    -------
    dict
        The columns placement (the experiment's number), day, is_control and outcome (the measure), each of shape
        (experiment_count * visitors_per_experiment,).
    """
    random = np.random.default_rng(seed)
    rows = experiment_count * visitors_per_experiment
    is_control = random.random(rows) < control_share
    rates = 1 + 0.5 * np.sin(np.arange(entry_day_count))
    return {
        "placement": np.repeat(np.arange(experiment_count), visitors_per_experiment),
        "day": random.choice(entry_day_count, rows, p=rates / rates.sum()),
        "is_control": is_control,
        "outcome": measure.draw_values(random, np.where(is_control, 1.0, mean_ratio)),
    }


def check_intervals_daily(visitor_columns: dict[str, np.ndarray], true_uplift: float) -> DailyLookResults:
    """Compute the intervals of ``recommendations.uplift`` on every day, and return how often they were right.

    Raises
    ------
    UsageError
        If no experiment has an interval on any day, because too few visitors entered.
    """
    uplift_by_day = dbt_macros(dbt_vars=default_vars()).uplift_by_day("visitors", "outcome", str(ALPHA))
    with duckdb.connect() as connection:
        connection.register("columns", visitor_columns)
        connection.execute(
            "create table visitors as select placement, 'simulated' as measure, outcome, "
            "date '2026-01-01' + day::integer as day, case when is_control then 'control' else 'model' end as arm "
            "from columns"
        )
        connection.execute(f"create table looks as {uplift_by_day}")
        # whether the textbook interval excludes 0, on the days on which nextmart's interval exists
        connection.execute(
            """
            create table naive as
            with sums as (
                select
                    placement, day, arm,
                    sum(count(*)) over so_far as n,
                    sum(sum(outcome)) over so_far as total,
                    sum(sum(outcome * outcome)) over so_far as squares
                from visitors group by placement, day, arm
                window so_far as (partition by placement, arm order by day)
            ),
            means as (select *, total / n as mean, (squares / n - (total / n) ** 2) / (n - 1) as variance from sums)
            select
                looks.placement,
                abs(models.mean - controls.mean) > 1.959964 * sqrt(models.variance + controls.variance) as is_alarm
            from looks
            inner join means as models
                on (looks.placement, looks.day, 'model') = (models.placement, models.day, models.arm)
            inner join means as controls
                on (looks.placement, looks.day, 'control') = (controls.placement, controls.day, controls.arm)
            where uplift_low is not null
            """
        )
        [found] = connection.execute(
            """
            with seen as (
                select
                    placement,
                    bool_and($truth between uplift_low and uplift_high) as is_covered,
                    arg_max($truth between uplift_low and uplift_high, day) as is_covered_at_the_end,
                    bool_or(uplift_low > 0 or uplift_high < 0) as is_alarm,
                    count(*) as looks
                from looks where uplift_low is not null group by placement
            ),
            naive_alarms as (select bool_or(is_alarm) as is_alarm from naive group by placement)
            select
                avg(is_covered::integer), avg(is_covered_at_the_end::integer), avg(is_alarm::integer),
                (select avg(is_alarm::integer) from naive_alarms), avg(looks)
            from seen
            """,
            {"truth": true_uplift},
        ).fetchall()
    if None in found:
        raise UsageError("no experiment has an interval on any day: give more --visitors")
    return DailyLookResults(*found)


def main() -> None:
    """Run the benchmark; print how often the intervals were right, by measure, control share and true uplift."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--visitors", type=int, default=20_000, help="visitors of each experiment")
    parser.add_argument("--days", type=int, default=60)
    options = parser.parse_args()
    print(
        f"{options.experiments} experiments of {options.visitors:,} visitors each, looked at on {options.days} days; "
        "alarm: an interval without 0\n"
    )
    print(f"{'measure':<28}{'control':>8}{'lift':>6}{'held daily':>12}{'at the end':>12}{'alarms':>8}{'naive':>7}")
    started = time.process_time()
    for number, (name, measure) in enumerate(MEASURES.items()):
        for control_share in (0.5, 0.1):
            for mean_ratio in (1.0, 1.2):
                visitor_columns = draw_experiments(
                    measure, experiment_count=options.experiments, visitors_per_experiment=options.visitors,
                    entry_day_count=options.days, control_share=control_share, mean_ratio=mean_ratio, seed=number,
                )  # fmt: skip
                try:
                    results = check_intervals_daily(visitor_columns, (mean_ratio - 1) * measure.control_mean)
                except UsageError as error:
                    parser.error(str(error))
                print(
                    f"{name:<28}{control_share:>8}{mean_ratio:>6}{results.always_covered_share:>12.3f}"
                    f"{results.end_covered_share:>12.3f}{results.alarm_share:>8.3f}{results.naive_alarm_share:>7.3f}",
                    flush=True,
                )
    print(f"\n{time.process_time() - started:.0f} s of CPU")


if __name__ == "__main__":
    main()
