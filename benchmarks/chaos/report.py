"""Texts that a campaign prints at its end: the table of faults, or the broken rule."""

from pathlib import Path

from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.fault_kinds import FAULTS
from benchmarks.chaos.history import Night
from benchmarks.chaos.night_outcomes import CALM
from benchmarks.chaos.tally import CampaignTally


def report_as_markdown(tally: CampaignTally) -> str:
    """Return a table with the nights of each kind of fault and how they ended, followed by totals."""
    lines = ["", "| fault | what happens | nights | how they ended |", "|---|---|---|---|"]
    for name in (CALM, *FAULTS):
        if outcomes := tally.outcome_counts_by_fault.get(name):
            ends = ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.most_common())
            happens = FAULTS[name].description if name in FAULTS else "a calm night"
            lines.append(f"| {name} | {happens} | {sum(outcomes.values())} | {ends} |")
    lines += [
        "",
        f"{tally.night_count} nights without a broken rule, {tally.published_night_count} of them published; "
        f"{tally.full_refresh_count} compared with a full refresh; "
        f"{tally.published_file_read_count:,} reads of the published file without an error; "
        f"{tally.sold_vector_count} texts paid for, {tally.lost_vector_count} of them again because a kill, or a "
        "damaged file, lost the answer.",
    ]
    return "\n".join(lines)


def describe_broken_rule(seed: int, broken_rule: BrokenRule, smallest_history: list[Night], history_file: Path) -> str:
    """Return the message on a broken rule: seed, rule, evidence, smallest history, and how to repeat it."""
    nights = "\n".join(f"  {night}" for night in smallest_history)
    return (
        f"\nBROKEN RULE (seed {seed}): {broken_rule.rule}\n{broken_rule.evidence}\n\n"
        f"the smallest history found that breaks it:\n{nights}\n"
        f"repeat it: python -m benchmarks.chaos --seed {seed} --history {history_file}"
    )
