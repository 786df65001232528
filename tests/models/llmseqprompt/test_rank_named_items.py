"""Ranking answered names: the most frequent name is first, and made-up names are replaced or dropped."""

import numpy as np
import pytest

from jobs.models.llmseqprompt.rank_named_items import (
    AnswerCounts,
    ReplacementByEmbedding,
    ReplacementBySpelling,
    drop_name,
    rank_named_items,
)

KNOWN = {"hat": [3, 1], "cap": [0], "shoe": [2]}
ALL = np.ones(5, np.bool_)


def ones(text):
    """Return one answer for each word of a text."""
    return [[name] for name in text.split()]


def test_names_are_ranked_by_frequency_and_equal_ones_by_first_appearance():
    items, scores = rank_named_items(ones("cap shoe hat hat shoe"), KNOWN, ALL, drop_name)
    assert items == [2, 3, 0]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3
    assert [round(score * 5 + 0.4) for score in scores] == [2, 2, 1], "the share of answers, less a part of one"


def test_the_most_popular_usable_item_of_a_name_stands_for_it():
    usable = ALL.copy()
    usable[3] = False
    assert rank_named_items(ones("hat"), KNOWN, ALL, drop_name)[0] == [3]
    assert rank_named_items(ones("hat"), KNOWN, usable, drop_name)[0] == [1]
    usable[1] = False
    assert rank_named_items(ones("hat cap"), KNOWN, usable, drop_name)[0] == [0], (
        "a name that may not be shown is dropped"
    )


def test_an_answer_that_is_a_list_is_a_ranking():
    assert rank_named_items([["shoe", "cap", "hat"]], KNOWN, ALL, drop_name)[0] == [2, 0, 3]


def test_scores_of_others_stay_where_a_name_becomes_unknown():
    with_hat = dict(zip(*rank_named_items(ones("hat cap shoe hat"), KNOWN, ALL, drop_name), strict=True))
    without = dict(
        zip(*rank_named_items(ones("hat cap shoe hat"), {"cap": [0], "shoe": [2]}, ALL, drop_name), strict=True)
    )
    assert without == {item: score for item, score in with_hat.items() if item != 3}


VECTORS = np.array([[1, 0], [0.6, 0.8], [0, 1], [0, 0], [0.8, 0.6]], np.float32)


def test_a_made_up_name_becomes_the_nearest_item_that_no_name_has_taken():
    replace = ReplacementByEmbedding(
        VECTORS, {"beret": np.array([1, 0], np.float32), "clog": np.array([1, 0], np.float32)}
    )
    # beret is the most frequent name, but item 0 belongs to the real name cap; clog is replaced after beret
    items, _ = rank_named_items(ones("beret beret clog cap"), KNOWN, ALL, replace)
    assert items == [4, 1, 0]


def test_a_name_without_a_vector_and_items_without_one_replace_nothing():
    replace = ReplacementByEmbedding(VECTORS, {"zero": np.zeros(2, np.float32), "beret": np.array([1, 0], np.float32)})
    assert rank_named_items(ones("zero unheard"), KNOWN, ALL, replace)[0] == []
    only_blank = np.array([False, False, False, True, False])
    assert rank_named_items(ones("beret"), KNOWN, only_blank, replace)[0] == []


def test_a_made_up_name_becomes_the_item_spelt_most_like_it():
    usable = ALL.copy()
    assert rank_named_items(ones("shoes"), KNOWN, usable, ReplacementBySpelling(KNOWN))[0] == [2]
    usable[2] = False
    two_names = ReplacementBySpelling({"shoe": [2], "shoe lace": [4]})
    assert rank_named_items(ones("shoes"), KNOWN, usable, two_names)[0] == [4], "the next one that may be assigned"
    assert rank_named_items(ones("§§§"), KNOWN, usable, ReplacementBySpelling(KNOWN))[0] == [], "like nothing at all"
    assert rank_named_items(ones("hat"), {}, usable, ReplacementBySpelling({}))[0] == []
    same_words = ReplacementBySpelling({"black beret of wool": [0], "red wool": [1]})
    assert same_words("wool beret, black", usable) == 0, "whatever their order"


def test_rates_count_what_their_names_say():
    counts = AnswerCounts()
    counts.add_answers([["hat"], ["hat"], ["beret"], []], KNOWN)
    counts.add_answers([["cap", "beret"], ["cap", "beret"]], KNOWN)
    assert counts.fault_rates() == pytest.approx(
        {"duplicate_rate": 3 / 7, "hallucination_rate": 3 / 7, "invalid_rate": 1 / 6}
    )
    assert set(AnswerCounts().fault_rates().values()) == {0.0}
