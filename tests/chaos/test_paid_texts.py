"""The campaign's accounts: which paid texts a night may lose."""

from collections import Counter

import duckdb
import pytest

from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.paid_text_accounts import PaidTextAccounts
from jobs.embedding.request_dispatcher import PROBE_TEXT


@pytest.fixture
def warehouse():
    """A warehouse that holds the vector of the text "mug" and lacks those of "lamp" and "rug"."""
    with duckdb.connect() as connection:
        connection.execute("""
            create schema catalog; create schema ml;
            create table catalog.item_texts as select text, text as text_hash
            from (values ('mug'), ('lamp'), ('rug')) as texts (text);
            create table ml.embeddings as select 'mug' as text_hash, [1.0] as embedding;
        """)
        yield connection


@pytest.mark.parametrize(
    ("sold", "max_lost_texts", "sold_counts_since_copy"),
    [
        (["mug"], 0, []),
        (["mug", PROBE_TEXT], 0, []),
        (["mug", "lamp", "rug"], 2, []),
        (["mug", "lamp", "rug", "rug"], 0, ["lamp", "rug", "rug"]),
        (["mug", "lamp", "rug"], 1, ["rug"]),
    ],
)
def test_texts_in_flight_and_texts_of_after_the_restored_copy_may_be_lost_once(
    warehouse, sold, max_lost_texts, sold_counts_since_copy
):
    accounts = PaidTextAccounts()
    accounts.check(warehouse, Counter(sold), max_lost_texts, Counter(sold_counts_since_copy))
    accounts.check(warehouse, Counter(sold), 0, Counter())
    with pytest.raises(BrokenRule, match="no text is paid twice"):
        accounts.check(warehouse, Counter([*sold, "mug"]), 0, Counter())


@pytest.mark.parametrize(
    ("sold", "max_lost_texts", "sold_counts_since_copy"),
    [
        (["mug", "mug"], 0, []),
        (["lamp", "rug"], 1, []),
        (["lamp", "lamp"], 0, ["lamp"]),  # the copy should hold the vector that was bought first
        (["lamp", "rug"], 0, ["rug"]),
    ],
)
def test_no_other_text_may_be_lost(warehouse, sold, max_lost_texts, sold_counts_since_copy):
    with pytest.raises(BrokenRule, match="no text is paid twice"):
        PaidTextAccounts().check(warehouse, Counter(sold), max_lost_texts, Counter(sold_counts_since_copy))
