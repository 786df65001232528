"""The example queries answer their questions from the published file alone."""

import duckdb
import pytest

from jobs.files import project_folder
from jobs.settings import Settings

ANALYSES = sorted((project_folder("sql") / "analyses").glob("*.sql"))


def answers(published, path) -> list[dict]:
    """Return the rows of a file's last statement, by column."""
    with duckdb.connect(str(published), read_only=True) as copy:
        result = copy.execute(path.read_text(encoding="utf-8"))
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@pytest.fixture
def answer(built_shop):
    return lambda name: answers(built_shop.published, project_folder("sql") / "analyses" / f"{name}.sql")


@pytest.mark.parametrize("path", ANALYSES, ids=lambda path: path.stem)
def test_each_file_opens_with_its_question_and_answers_it(built_shop, path):
    comment = path.read_text(encoding="utf-8").splitlines()[0]
    assert comment.startswith("-- ")
    assert "?" in comment
    assert answers(built_shop.published, path)


def test_a_visitor_is_shown_twenty_items_with_reasons(answer):
    rows = answer("what_to_show_a_visitor")
    assert [row["rank"] for row in rows] == list(range(1, 21))
    assert all(row["reason"] for row in rows)


def test_shares_of_what_is_shown_add_up(answer):
    rows = answer("which_items_are_recommended_most")
    shares = [row["share_of_all_shown"] for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert rows[-1]["share_up_to_here"] == pytest.approx(sum(shares), abs=0.002)
    assert rows[-1]["share_up_to_here"] <= 1


def test_every_model_is_compared_and_one_is_live(answer):
    rows = answer("how_the_models_compare")
    assert {row["model"] for row in rows} == set(Settings().models)
    assert [row["is_live"] for row in rows].count(True) == 1
    assert all(row["ndcg_low"] <= row["ndcg_at_10"] <= row["ndcg_high"] for row in rows)


def test_items_without_events_have_none_in_the_warehouse(answer, built_shop):
    clicked = {item for (item,) in built_shop.rows("select distinct item_id from staging.stg_events")}
    rows = answer("which_items_without_events_are_shown")
    assert not clicked & {row["item_id"] for row in rows}
    assert all(row["visitors"] or row["similar_to_items"] for row in rows)
