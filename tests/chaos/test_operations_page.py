"""Each message with which the campaign lets a command fail stands in a table of the page for people on call."""

import re

import pytest

from benchmarks.chaos.command_checks import ALLOW_SHRINK_OPTION
from benchmarks.chaos.commands import ROOT
from benchmarks.chaos.fault_kinds import FAULTS

PAGE = ROOT / "docs" / "operations.md"
MESSAGES = sorted(
    {words for kind in FAULTS.values() for words in kind.permitted_failures.values()} | {ALLOW_SHRINK_OPTION}
)


@pytest.mark.parametrize("words", MESSAGES)
def test_a_message_that_the_campaign_permits_has_a_row_that_says_what_to_type(words):
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    advice = [row.strip("|").split("|")[1].strip() for row in rows if re.search(words, row)]
    assert advice, f"no row of a table of {PAGE} has {words!r}"
    assert all(advice), advice
