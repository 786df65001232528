"""The rule by which a publication is held: which losses are too much, and in which words."""

from dataclasses import replace

import pytest

from jobs.publishing.publication_totals import PublicationDifferences, PublicationTotals
from jobs.publishing.shrink_rule import reasons_to_hold_publication
from jobs.settings import Settings

LIVE = PublicationTotals(
    visitors=1980, list_rows=39_600, items=1500, similar_item_rows=15_000, popularity=50_000.0, mean_score=0.5,
    model_version="sasrec-1",
)  # fmt: skip
SMALL = replace(LIVE, visitors=8, list_rows=160, items=12, similar_item_rows=120, popularity=90.0)
ALIKE = PublicationDifferences(
    new_visitors=0, gone_visitors=0, changed_visitor_share=0.1, mean_list_overlap=0.9, new_items=0, gone_items=0
)


def held(
    live: PublicationTotals = LIVE,
    differences: PublicationDifferences | None = ALIKE,
    limits: dict | None = None,
    **new,
) -> list[str]:
    return reasons_to_hold_publication(live, replace(live, **new), differences, Settings(**(limits or {})))


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"visitors": 1500}, "visitors with lists fell from 1,980 to 1,500, by 24%; max_shrink_share allows 20%"),
        ({"list_rows": 30_000}, "rows of lists fell from 39,600 to 30,000, by 24%; max_shrink_share allows 20%"),
        ({"items": 2}, "recommendable items fell from 1,500 to 2, by 100%; max_shrink_share allows 20%"),
        ({"similar_item_rows": 0}, "rows of similar items fell from 15,000 to 0, by 100%; nothing may fall to zero"),
        (
            {"popularity": 5000.0},
            "the sum of popular_items.score fell from 50,000 to 5,000, by 90%; max_lost_popularity_share allows 50%",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_loss_is_told_with_its_numbers_and_its_setting(new, words):
    assert held(**new) == [words]


def test_what_fluctuates_is_published():
    assert held(visitors=1600, list_rows=32_000, items=1250, similar_item_rows=12_100, popularity=26_000.0) == []
    assert held(visitors=9000, list_rows=99_000, items=9000, similar_item_rows=99_000, popularity=1e6) == []


def test_a_shop_may_lose_a_few_visitors_and_items_but_not_all():
    assert held(SMALL, visitors=3, list_rows=60, items=7, similar_item_rows=70, popularity=34.0) == []
    assert len(held(SMALL, visitors=2, items=6)) == 2
    assert held(replace(SMALL, visitors=1, list_rows=20), visitors=0, list_rows=0) == [
        "visitors with lists fell from 1 to 0, by 100%; nothing may fall to zero",
        "rows of lists fell from 20 to 0, by 100%; nothing may fall to zero",
    ]


def test_what_was_never_there_can_not_be_missed():
    nothing = replace(LIVE, visitors=0, list_rows=0, items=0, similar_item_rows=0, popularity=0.0)
    assert held(nothing) == []
    assert held(replace(LIVE, popularity=-3.0), popularity=-5.0) == []


def test_visitors_of_another_shop_are_noticed_though_there_are_as_many():
    others = replace(ALIKE, new_visitors=1980, gone_visitors=1980, changed_visitor_share=None, mean_list_overlap=None)
    assert held(differences=others) == [
        "1,980 of the 1,980 visitors with lists are gone, 100%; max_gone_visitors_share allows 50%"
    ]
    assert held(differences=replace(ALIKE, gone_visitors=900, new_visitors=900)) == []
    told_once = held(visitors=0, list_rows=0, differences=replace(others, new_visitors=0))
    assert [reason.split(" fell")[0] for reason in told_once] == ["visitors with lists", "rows of lists"]


def test_lists_may_all_change_unless_the_shop_says_otherwise():
    changed = replace(ALIKE, changed_visitor_share=1.0, mean_list_overlap=0.004)
    assert held(differences=changed) == []
    assert held(differences=changed, limits={"min_list_overlap": 0.05}) == [
        "a visitor's old and new list share 0.4% of their items on average; min_list_overlap asks for 5.0%"
    ]


def test_limits_are_settings():
    loose = {"max_shrink_share": 1, "max_lost_popularity_share": 1}
    assert held(limits=loose, visitors=1, items=1, popularity=1.0) == []
    assert len(held(limits={"max_shrink_share": 0, "ignored_shrink": 0}, visitors=1979)) == 1
    assert held(limits={"max_shrink_share": 0, "ignored_shrink": 1}, visitors=1979) == []
