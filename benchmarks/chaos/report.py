"""What a campaign prints at its end."""

from pathlib import Path

from benchmarks.chaos.catalogue import FAULTS
from benchmarks.chaos.difference import Difference
from benchmarks.chaos.history import Night
from benchmarks.chaos.outcomes import CALM
from benchmarks.chaos.tally import Tally


def markdown(tally: Tally) -> str:
    """Return the table of faults tried and how their nights ended, with the sums below it."""
    lines = ["", "| fault | what happens | nights | how they ended |", "|---|---|---|---|"]
    for name in (CALM, *FAULTS):
        if outcomes := tally.outcomes.get(name):
            ends = ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.most_common())
            happens = FAULTS[name].happens if name in FAULTS else "a calm night"
            lines.append(f"| {name} | {happens} | {sum(outcomes.values())} | {ends} |")
    lines += [
        "",
        f"{tally.nights} nights without a difference, {tally.settled} of them published; {tally.refreshes} compared "
        f"with a full refresh; {tally.reads:,} reads of the published file without an error; "
        f"{tally.texts_paid} texts paid for, {tally.texts_lost} of them again because a kill, or a "
        "damaged file, lost the answer.",
    ]
    return "\n".join(lines)


def say_difference(seed: int, difference: Difference, history: list[Night], path: Path) -> str:
    """Return the seed, the rule that does not hold, and the smallest history that shows it."""
    nights = "\n".join(f"  {night}" for night in history)
    return (
        f"\nDIFFERENCE (seed {seed}): {difference.rule}\n{difference.evidence}\n\n"
        f"the smallest history found that shows it:\n{nights}\n"
        f"live through it again: python -m benchmarks.chaos --seed {seed} --history {path}"
    )
