"""Batches that expire, fail or are cancelled, and wrong lines in the files of results."""

import base64
import json
import re

import numpy as np
import pytest
from batch_nights import (
    ALL,
    ONCE,
    PRICE,
    TEXTS,
    cost_of_all_nights,
    has_all_vectors,
    has_nothing_left_over,
    recorded_batches,
    run_night,
    run_nights_until_all_batches_end,
    run_nights_until_batch_count,
)
from fake_batches import SPOILED
from fake_openai import KEY, error

from jobs.embedding import batch_api
from jobs.embedding.backfill import EmbedOptions
from jobs.embedding.providers import openai_batch
from jobs.embedding.providers.openai_batch import parse_result_line
from jobs.embedding.providers.openai_batch import parse_vector as read_vector
from jobs.errors import NextmartError

# --- batches that do not complete ---


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_what_a_batch_had_reached_is_kept_and_the_rest_asked_for_again(shop, batches, status):
    run_night(shop)
    batches.end(status, reached=3)
    summary = run_night(shop)
    assert (summary["rows_out"], summary["detail"]["handed_in"], summary["detail"]["under_way"]) == (3, 4, 4)
    assert summary["cost"] == pytest.approx(9 * PRICE)
    assert recorded_batches(shop)[0][:2] == (status, 3)
    batches.end()
    run_night(shop)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE
    assert has_nothing_left_over(shop)


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_a_batch_that_ends_without_a_result_is_told_and_handed_in_again_the_next_night(shop, batches, status):
    run_night(shop)
    batches.end(status, reached=0, reason=f"the file of {KEY} is no good")
    summary = run_night(shop)
    assert summary["status"] == "incomplete"
    assert (
        f"{status} without a vector of 4 dimensions: the file of <OPENAI_API_KEY> is no good"
        in summary["detail"]["ended_by"]
    )
    assert recorded_batches(shop) == [(status, 0, "the file of <OPENAI_API_KEY> is no good")]
    assert batches.asked.count("create") == 1, "at once it would end no better"
    assert shop.labels() == {}
    run_nights_until_all_batches_end(shop, batches, night_count=1)
    assert has_all_vectors(shop)
    assert has_nothing_left_over(shop)


@pytest.mark.parametrize("reached", [0, 2])
def test_a_text_that_was_never_reached_is_never_blamed(shop, batches, reached):
    for _ in range(batch_api.MAX_BATCHES_PER_TEXT + 1):
        batches.end("expired", reached=reached)
        run_night(shop)
        run_night(shop)
    assert shop.labels() == {}


def test_one_failed_batch_does_not_keep_the_results_of_another_waiting(shop, batches, monkeypatch):
    monkeypatch.setattr(openai_batch, "MAX_TEXTS", 4)
    run_night(shop)
    first, _ = batches.under_way()
    first["status"] = "failed"
    batches.end()
    summary = run_night(shop)
    assert (summary["status"], summary["rows_out"]) == ("incomplete", 3)
    run_nights_until_all_batches_end(shop, batches, night_count=1)
    assert has_all_vectors(shop)


def test_a_batch_that_the_service_no_longer_knows_is_handed_in_again(shop, batches):
    run_night(shop)
    batches.faults["retrieve"] = ["404"] * 2
    assert "gone" in run_night(shop)["detail"]["ended_by"]
    assert recorded_batches(shop) == [("gone", 0, "the service doesn't know it (any more)")]
    run_nights_until_all_batches_end(shop, batches, night_count=1)
    assert has_all_vectors(shop)


def open_batches(shop):
    return shop.rows("select submission_id from ml.embedding_batches where ended_at is null")


def test_at_a_wrong_address_no_batch_counts_as_gone(shop, batches, service, monkeypatch):
    run_night(shop)
    service.server.expect_request(re.compile("/wrong/.*")).respond_with_handler(lambda _: error(404, "not found"))
    with monkeypatch.context() as wrong:
        wrong.setenv("OPENAI_BASE_URL", service.server.url_for("/wrong"))
        summary = run_night(shop)
    assert summary["status"] == "incomplete"
    assert "OPENAI_BASE_URL is wrong" in summary["detail"]["ended_by"]
    assert len(open_batches(shop)) == 1
    run_nights_until_all_batches_end(shop, batches, night_count=1)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE


@pytest.mark.parametrize("kind", ["retrieve", "content"])
def test_results_that_are_not_found_are_not_lost_while_the_address_is_wrong(shop, batches, kind):
    run_night(shop)
    batches.end()
    batches.faults = {kind: ["", "404"] if kind == "retrieve" else ["404"], "list": ["404"]}
    assert "OPENAI_BASE_URL is wrong" in run_night(shop)["detail"]["ended_by"]
    assert len(open_batches(shop)) == 1
    run_night(shop)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE


def test_vectors_of_another_size_than_the_settings_say_end_the_run_before_more_are_bought(shop, batches):
    batches.lines = dict.fromkeys(TEXTS.values(), "dimensions")
    run_night(shop)
    batches.end()
    summary = run_night(shop, embedding_batch_wait_minutes=1)
    assert "without a vector of 4 dimensions" in summary["detail"]["ended_by"]
    assert batches.asked.count("create") == 1


def test_a_failed_batch_is_an_error_where_there_is_no_vector_at_all(catalogue, batches):
    catalogue.write(**TEXTS)
    run_night(catalogue)
    batches.end("failed", reason=f"the file of {KEY} is no good")
    with pytest.raises(NextmartError, match="failed without a vector of 4") as raised:
        run_night(catalogue)
    assert KEY not in str(raised.value)


# --- wrong lines in results ---


def test_a_refused_text_is_labelled_and_its_neighbours_go_through(shop, batches):
    batches.lines = {"text 3": "400"}
    run_night(shop)
    batches.end()
    summary = run_night(shop)
    (label,) = shop.labels().items()
    assert label == ("item-3", ("failed", "the embedding service answers 400: this text is not allowed"))
    assert (summary["status"], summary["rows_out"], summary["detail"]["failed"]) == ("done", 6, 1)
    assert has_nothing_left_over(shop)

    assert run_night(shop)["rows_in"] == 0, "a refused text is not asked about every night"
    assert len(batches.batches) == 1
    batches.lines = {}
    assert run_night(shop, EmbedOptions(retry_failed=True))["detail"]["handed_in"] == 1
    assert run_night(shop, EmbedOptions(retry_failed=True))["rows_in"] == 0, "it is under way"
    batches.end()
    run_night(shop)
    assert has_all_vectors(shop)


def test_a_text_that_is_refused_again_is_not_handed_in_a_third_time_by_the_same_run(shop, batches):
    batches.lines = {"text 3": "400"}
    run_nights_until_all_batches_end(shop, batches, night_count=1)
    batches.at["retrieve"] = batches.end
    summary = run_night(shop, EmbedOptions(retry_failed=True), embedding_batch_wait_minutes=3 / 60)
    assert batches.asked.count("create") == 2
    assert (summary["status"], summary["detail"]["handed_in"], summary["detail"]["failed"]) == ("done", 1, 1)
    assert shop.labels().keys() == {"item-3"}
    run_night(shop, EmbedOptions(retry_failed=True))
    assert batches.asked.count("create") == 3, "a later run tries again"


def test_texts_without_a_usable_vector_are_asked_for_again_and_given_up_after_some_batches(shop, batches):
    wrong = {f"a text whose line is {fault}": fault for fault in ["500", "missing", *SPOILED]}
    shop.write(**ALL, **{fault: text for text, fault in wrong.items()})
    batches.lines = wrong
    run_nights_until_batch_count(shop, batches, batch_api.MAX_BATCHES_PER_TEXT)
    assert has_all_vectors(shop, except_item_ids=wrong.values())
    assert [len(batches.texts(batch)) for batch in batches.batches.values()] == [7 + len(wrong), len(wrong), len(wrong)]
    assert shop.labels() == {}

    batches.end()
    assert run_night(shop)["detail"]["failed"] == len(wrong)
    labels = shop.labels()
    assert labels.pop("500") == ("failed", "the embedding service answers 500: the model stumbled")
    assert labels == {
        fault: ("failed", "3 batches gave no usable vector") for fault in wrong.values() if fault != "500"
    }
    assert batches.paid == ONCE
    assert batches.spoiled == dict.fromkeys((text for text, fault in wrong.items() if fault in SPOILED), 3)
    readable = 7 + 3 * len({"NaN", "zeros", "dimensions"})  # other wrong lines do not say what they cost
    assert cost_of_all_nights(shop) == pytest.approx(3 * readable * PRICE)
    assert has_nothing_left_over(shop)
    run_night(shop)
    assert len(batches.batches) == 3, "they are not asked about every night"

    batches.lines = {}
    run_night(shop, EmbedOptions(retry_failed=True))
    batches.end()
    run_night(shop)
    assert shop.labels() == {}
    assert has_all_vectors(shop)


@pytest.mark.parametrize("fault", ["500", "NaN"])
def test_a_text_that_is_only_unlucky_is_not_given_up(shop, batches, fault):
    batches.lines = {"text 3": fault}
    run_nights_until_batch_count(shop, batches, batch_api.MAX_BATCHES_PER_TEXT)
    batches.lines = {}
    batches.end()
    run_night(shop)
    assert has_all_vectors(shop)
    assert shop.labels() == {}


@pytest.mark.parametrize("fault", ["page", "missing", "500", "dimensions"])
def test_a_service_that_never_gives_a_vector_is_not_paid_for_ever(shop, batches, fault):
    batches.lines = dict.fromkeys(TEXTS.values(), fault)
    run_nights_until_all_batches_end(shop, batches, night_count=7)
    assert len(batches.batches) == batch_api.MAX_BATCHES_PER_TEXT
    assert {status for status, _ in shop.labels().values()} == {"failed"}


def test_a_line_that_comes_twice_is_stored_once(shop, batches):
    batches.lines = {"text 3": "twice"}
    run_night(shop)
    batches.end()
    assert run_night(shop)["rows_out"] == 7
    assert has_all_vectors(shop)


def test_a_service_that_does_not_count_tokens_loses_no_vector(shop, batches):
    batches.usage = False
    run_night(shop)
    batches.end()
    run_night(shop)
    assert has_all_vectors(shop)


# --- parsing lines of results ---


def line(**changes):
    body = {"data": [{"embedding": [1, 2]}], "usage": {"prompt_tokens": 3}}
    answer = {"status_code": 200, "body": body}
    return json.dumps({"custom_id": "key", "response": answer, "error": None, **changes})


def answered(**body):
    return line(response={"status_code": 200, "body": {"data": [{"embedding": [1, 2]}], **body}})


def test_a_right_line_is_read():
    result = parse_result_line(line())
    assert (result.text_key, result.vector.tolist(), result.charged_tokens, result.error) == ("key", [1, 2], 3, "")


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "nonsense", "null", "5", "[]", '"text"', "{}", line()[:-1], line() + line(), "[" * 100_000,
        line(custom_id=None), line(custom_id=5), line(custom_id=["key"]), line(custom_id={}),
        line(response="200"), line(response={"status_code": 200}),
        line(response={"status_code": 200, "body": []}), line(response={"status_code": 200, "body": "text"}),
        line(response={"status_code": 400, "body": {"error": "words"}}),
        line(response=None, error={"code": "batch_expired", "message": "too late"}),
        line(response=None, error={"code": "batch_cancelled", "message": "stopped"}),
        answered(data=[]), answered(data=None), answered(data=[{}]), answered(data=[[1, 2]]),
        answered(data=[{"embedding": [1]}, {"embedding": [2]}]),
        *(answered(data=[{"embedding": wrong}]) for wrong in (
            None, 5, True, {}, ["one"], [[1, 2]], [[1], [2, 3]], "A", "AAA=", "AAAA", "é", 10**400,
            [10**400],
        )),
        answered(usage={"prompt_tokens": "many"}),
    ],
)  # fmt: skip
def test_a_line_that_holds_no_vector_counts_as_unanswered(text):
    assert parse_result_line(text) is None


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}])
def test_a_line_that_does_not_count_tokens_is_read(usage):
    result = parse_result_line(answered(usage=usage))
    assert (result.vector.tolist(), result.charged_tokens) == ([1, 2], 0)


@pytest.mark.parametrize(
    ("status", "would_fail_again"), [(400, True), (413, True), (422, True), (429, False), (500, False)]
)
def test_an_error_line_says_whether_to_ask_again(status, would_fail_again):
    result = parse_result_line(line(response={"status_code": status, "body": {"error": {"message": "no"}}}))
    assert (result.text_key, result.vector, result.charged_tokens) == ("key", None, 0)
    assert result.error == f"the embedding service answers {status}: no"
    assert result.would_fail_again is would_fail_again


def test_an_error_without_an_answer_is_read_too():
    result = parse_result_line(line(response=None, error={"code": "request_timeout", "message": "it took too long"}))
    assert result.error == "the embedding service answers nothing: it took too long"
    assert not result.would_fail_again


def test_both_forms_of_a_vector_are_read_alike():
    vector = np.array([1.5, -2.25, 1e-30], dtype=np.float32)
    spelt = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    for form in (spelt, vector.tolist()):
        np.testing.assert_array_equal(read_vector(form), vector)
        assert read_vector(form).dtype == np.float32
