"""Simulate years of weekly decisions about the live model, with models whose true quality is known.

Each week, the live model family and its challengers are measured on the newest validation cases. Only some of these are
new since the week before. On one part of the cases all models have the same hits; on the others each model has its own.
With equally good models, any change of the live family is wrong. The benchmark counts the wrong changes by the rule of
:mod:`jobs.nightly.champion`, and by a simpler rule: a 95 % interval each week, without correction for the many looks.
With one better challenger, it measures how many weeks pass until that one is live.
Run: ``python -m benchmarks.champion --years 100``.
"""

import argparse
import time

import numpy as np

from jobs.core.arrays import Doubles
from jobs.core.metrics import case_values_from_ranks
from jobs.evaluation.interim_looks import CaseValuesAtLook
from jobs.nightly.champion import LOOKS_COUNTED, SELECTION_K, Entrant, Incumbent, choose_live_model

HIT_RATE = 0.2
"""Share of the cases in which a model lists the target. The model's nDCG is then about 0.08, as on Amazon Beauty."""

OWN_SHARE = 0.5
"""Share of the cases for which each model has hits of its own; for the other cases all models have the same hits."""


def main() -> None:
    """Read the options, simulate, and print how often the live family changed and how long a better one waited."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=100, help="years to simulate for each line of the output")
    parser.add_argument("--challengers", type=int, default=12)
    parser.add_argument("--cases", type=int, default=2000, help="validation cases of a week")
    parser.add_argument("--new-cases", type=int, default=200, help="how many of them are new")
    options = parser.parse_args()
    challenger_and_case_counts = (options.challengers, options.cases, options.new_cases)
    started = time.process_time()
    weeks_until_change_by_year = [
        weeks_until_live_family_changes(challenger_and_case_counts, 0.0, seed) for seed in range(options.years)
    ]
    uncorrected = [
        weeks_until_change_by_uncorrected_interval(challenger_and_case_counts, seed) for seed in range(options.years)
    ]
    print(f"{options.challengers} equal challengers, {options.cases} cases a week, {options.new_cases} of them new")
    print(
        f"  wrong changes of the live family: {_share_of_years_with_change(weeks_until_change_by_year)} of years; "
        f"by one 95 % interval a look: {_share_of_years_with_change(uncorrected)}"
    )
    for relative_gain in (0.05, 0.1, 0.2, 0.3):
        waits = [
            weeks_until_live_family_changes(challenger_and_case_counts, relative_gain, seed)
            for seed in range(options.years)
        ]
        found = sorted(LOOKS_COUNTED + 1 if wait is None else wait for wait in waits)
        median = found[len(found) // 2]
        median_wait = f"{median} weeks" if median <= LOOKS_COUNTED else "more than a year"
        print(
            f"  one that is {relative_gain:.0%} better: live within a year in {_share_of_years_with_change(waits)}, "
            f"median wait {median_wait}"
        )
    print(f"{time.process_time() - started:.0f} CPU seconds")


def weeks_until_live_family_changes(
    challenger_and_case_counts: tuple[int, int, int], relative_gain: float, seed: int
) -> int | None:
    """Return after how many weeks another family becomes live, by nextmart's rule; None if none does within a year.

    Parameters
    ----------
    challenger_and_case_counts : (int, int, int)
        Number of challengers, of validation cases in a week, and of those cases that are new in a week.
    relative_gain : float
        By which share the first challenger hits more often than the live family: 0.1 means 10 % more often.
    """
    challengers, cases, new_cases = challenger_and_case_counts
    values = _draw_ndcg(challenger_and_case_counts, relative_gain, seed)
    is_new = np.arange(cases) >= cases - new_cases
    looks: list[list[CaseValuesAtLook]] = [[] for _ in range(challengers + 1)]
    for week in range(LOOKS_COUNTED):
        window = slice(week * new_cases, week * new_cases + cases)
        entrants = [
            Entrant(f"{model}-{week}", f"{model}", f"{week}", values[model, window], list(looks[model]), is_new)
            for model in range(challengers + 1)
        ]
        live = choose_live_model(entrants, Incumbent(entrants[0], "live: first model"))[0]
        if live.family != "0":
            return week + 1
        for model, entrant in enumerate(entrants):
            looks[model].append(entrant.interim_looks[-1])
    return None


def weeks_until_change_by_uncorrected_interval(
    challenger_and_case_counts: tuple[int, int, int], seed: int
) -> int | None:
    """Return after how many weeks a challenger beats the live family by a 95 % interval; None if none does in a year.

    The interval is not corrected for the many looks. All models are equally good, so any change is wrong.
    """
    _, cases, new_cases = challenger_and_case_counts
    values = _draw_ndcg(challenger_and_case_counts, 0.0, seed)
    for week in range(LOOKS_COUNTED):
        differences = (values[1:] - values[0])[:, week * new_cases : week * new_cases + cases]
        if (differences.mean(axis=1) > 1.96 * differences.std(axis=1) / np.sqrt(cases)).any():
            return week + 1
    return None


def _draw_ndcg(challenger_and_case_counts: tuple[int, int, int], relative_gain: float, seed: int) -> Doubles:
    """Draw the nDCG of each model on each case.

    Returns
    -------
    float64 array (challengers + 1, cases of a year)
        The first row is the live family's.
    """
    challengers, cases, new_cases = challenger_and_case_counts
    random = np.random.default_rng(seed)
    size = (challengers + 1, cases + new_cases * (LOOKS_COUNTED - 1))
    hit_rates = np.full((challengers + 1, 1), HIT_RATE)
    hit_rates[1] *= 1 + relative_gain / OWN_SHARE
    own, common = (
        np.where(random.random(shape_) < rates, random.integers(1, SELECTION_K + 1, shape_), 0)
        for shape_, rates in ((size, hit_rates), (size[1:], HIT_RATE))
    )
    ranks = np.where(random.random(size) < OWN_SHARE, own, common)
    return np.stack([case_values_from_ranks(row, "ndcg", SELECTION_K) for row in ranks])


def _share_of_years_with_change(weeks_until_change_by_year: list[int | None]) -> str:
    """Return the share of years in which the live family changes, as a percentage."""
    return f"{sum(week is not None for week in weeks_until_change_by_year) / len(weeks_until_change_by_year):.0%}"


if __name__ == "__main__":
    main()
