"""The rules that the data test valid_rows checks: it names a broken rule, how many rows break it, and one of them."""

import pytest
from harness import Warehouse


@pytest.fixture
def broken_rules(warehouse: Warehouse):
    """Return what the test of a model says of a table that holds the given rows."""

    def of(model: str, table: str, rows: str) -> dict[str, tuple[int, str | None]]:
        with warehouse.open() as connection:
            connection.execute(f"create schema {table.split('.')[0]}; create table {table} as {rows}")
        [test] = warehouse.project.invoke(warehouse.path, "compile", "--select", f"valid_{model}").results
        with warehouse.open() as connection:
            return {rule: tuple(said) for rule, *said in connection.execute(test.node.compiled_code).fetchall()}

    return of


def popular_items(*rows: str) -> str:
    values = ", ".join(rows)
    return f"select rank, item_id, score::double as score from (values {values}) as popular (rank, item_id, score)"


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        (["(1, 'lamp', 2.0)", "(2, 'desk', null)"], {}),
        (["(1, null, 2.0)"], {"item_id is null": (1, "{'rank': 1, 'item_id': NULL, 'score': 2.0}")}),
        (["(1, 'lamp', 'nan')"], {"score is not finite": (1, "{'rank': 1, 'item_id': lamp, 'score': nan}")}),
        (["(1, 'lamp', '-inf')"], {"score is not finite": (1, "{'rank': 1, 'item_id': lamp, 'score': -inf}")}),
        (["(1, 'lamp', 2.0)", "(2, 'lamp', 1.0)"], {"item_id repeat": (1, "lamp")}),
        (["(2, 'lamp', 2.0)", "(3, 'desk', 1.0)"], {"ranks are not 1, 2, …, n": (1, None)}),
        (["(1, 'lamp', 2.0)", "(3, 'desk', 1.0)"], {"ranks are not 1, 2, …, n": (1, None)}),
        (
            ["(1, 'lamp', 2.0)", "(1, 'desk', 1.0)"],
            {"rank repeat": (1, "1"), "ranks are not 1, 2, …, n": (1, None)},
        ),
    ],
)
def test_each_broken_rule_is_named_with_an_example(broken_rules, rows, broken):
    assert broken_rules("popular_items", "recommendations.popular_items", popular_items(*rows)) == broken


def test_one_row_may_break_several_rules(broken_rules):
    said = broken_rules("popular_items", "recommendations.popular_items", popular_items("(null, null, 'nan')"))
    assert {rule: count for rule, (count, _) in said.items()} == {
        "rank is null": 1, "item_id is null": 1, "score is not finite": 1, "ranks are not 1, 2, …, n": 1,
    }  # fmt: skip


def test_a_value_that_is_not_accepted_is_named(broken_rules):
    texts = (
        "select item_id, '' as text, '' as text_hash, text_status "
        "from (values ('lamp', 'ok'), ('desk', 'torn'), ('chair', 'worn')) as texts (item_id, text_status)"
    )
    [(rule, (count, _))] = broken_rules("item_texts", "catalog.item_texts", texts).items()
    assert (rule, count) == ("text_status is none of ok, cut, empty", 2)


def test_keys_and_ranks_of_groups(broken_rules):
    lists = (
        "select item_id, rank, similar_item_id, 0.5::double as score from (values "
        "('lamp', 1, 'desk'), ('lamp', 2, 'desk'), "  # the same item twice
        "('desk', 1, 'lamp'), ('desk', 1, 'chair'), "  # the same rank twice
        "('chair', 2, 'lamp'), "  # no rank 1
        "('shelf', 1, 'lamp'), ('shelf', 2, 'desk')) as lists (item_id, rank, similar_item_id)"
    )
    said = broken_rules("similar_items", "recommendations.similar_items", lists)
    assert {rule: count for rule, (count, _) in said.items()} == {
        "item_id, similar_item_id repeat": 1, "item_id, rank repeat": 1, "ranks are not 1, 2, …, n for each item_id": 2,
    }  # fmt: skip
    assert said["item_id, similar_item_id repeat"] == (1, "lamp, desk")
