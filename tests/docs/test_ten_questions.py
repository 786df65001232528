"""The ten questions of the page for analysts: each has one answer, and the answers are right on the documented shop."""

import re

import pages
import pytest

ANALYSTS = pages.ROOT / "docs" / "analysts.md"
SQL, SETTING, COMMAND = "sql", "toml", "sh"
ANSWERS = {
    "Only one category, below 50": [SETTING],
    "At most two of a brand": [SETTING],
    "Nothing that the visitor has bought": [SETTING],
    "A new arrival in slot 3": [SETTING, SQL],  # the query looks at the lists of all four
    "What is bought together with this item": [SQL],
    "What is trending in a country": [SETTING, SQL],
    "Who wants this item": [SQL],
    "What changed since yesterday": [SQL],
    "Did they click": [SQL],
    "Export to Postgres": [COMMAND],
}
LISTS = "(from published.recommendations.placement_recommendations where placement = $placement)"


def questions() -> dict[str, list[pages.Block]]:
    """Return the blocks below each heading of the section."""
    lines = ANALYSTS.read_text(encoding="utf-8").splitlines()
    start = lines.index("## Ten questions")
    end = next(number for number, line in enumerate(lines) if number > start and line.startswith("## "))
    headings = {number: line.removeprefix("### ") for number, line in enumerate(lines[:end]) if line.startswith("### ")}
    answers: dict[str, list[pages.Block]] = {headings[number]: [] for number in headings if number > start}
    for block in pages.blocks(SQL, SETTING, COMMAND, page=ANALYSTS):
        if start < block.line <= end:
            answers[headings[max(number for number in headings if number < block.line)]].append(block)
    return answers


def test_each_question_has_one_answer_that_runs():
    found = questions()
    assert {question: [block.language for block in blocks] for question, blocks in found.items()} == ANSWERS
    for blocks in found.values():
        for block in blocks:
            assert block.is_run
            assert block.text.count(";") == (block.language == SQL)
            assert len(re.findall(r"^\w+ = ", block.text, flags=re.MULTILINE)) == (block.language == SETTING)


BROKEN_LISTS = {
    "gardening": f"from {LISTS} where not (category like 'Gardening%' and price < 50)",
    "mixed": f"select visitor_id from {LISTS} group by visitor_id, brand having count(*) > 2",
    "unbought": f"""
        from {LISTS} where (visitor_id, item_id) in (
            select (visitor_id, item_id) from sessions.session_items where event_type = 'purchase'
        )
    """,
    "arrivals": f"""
        from {LISTS} where rank = 3 and item_id in (
            select item_id from published.recommendations.items
            where first_seen_at < (select max(ended_at) from sessions.sessions) - interval 15 days
        )
    """,
}
"""For each setting of a list, what of a list would break it."""

OTHER_PLACEMENT = {"gardening": "mixed", "mixed": "arrivals", "unbought": "mixed", "arrivals": "mixed"}
"""For each of them, a placement without that setting: there the query has to find something."""

LENGTHS = "select count(*), min(length) from published.recommendations.placement_lists where placement = $placement"


@pytest.mark.parametrize("placement", BROKEN_LISTS)
def test_lists_follow_their_setting(documented_shop, placement):
    broken = BROKEN_LISTS[placement]
    assert documented_shop.rows(broken, placement=placement) == []
    assert documented_shop.rows(broken, placement=OTHER_PLACEMENT[placement])
    [(visitors, shortest)] = documented_shop.rows(LENGTHS, placement=placement)
    assert visitors >= 60
    assert shortest >= 10
