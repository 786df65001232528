"""The embed job with OpenAI's Batch API: OpenAI's own client against a fake service; each run is one night."""

import json

import pytest
from batch_nights import (
    ALL,
    FIRST,
    ONCE,
    PRICE,
    TEXTS,
    has_all_vectors,
    has_nothing_left_over,
    recorded_batches,
    run_night,
    run_nights_until_all_batches_end,
)
from catalogue import text_hash
from fake_openai import KEY

from jobs.embedding import batch_api
from jobs.embedding.backfill import EmbedOptions
from jobs.embedding.providers import openai_batch
from jobs.errors import UsageError

# --- night after night ---


@pytest.mark.parametrize("form", ["base64", "lists"])
def test_texts_are_handed_in_then_left_alone_then_collected_and_paid_once(shop, batches, form):
    batches.form = form
    handed_in = run_night(shop)
    assert (handed_in["status"], handed_in["rows_in"], handed_in["rows_out"], handed_in["cost"]) == ("done", 7, 0, 0)
    assert {"handed_in": 7, "under_way": 7, "tokens": 0, "failed": 0}.items() <= handed_in["detail"].items()

    waiting = run_night(shop)
    assert (waiting["status"], waiting["rows_in"], waiting["detail"]["under_way"]) == ("done", 0, 7)
    assert "handed_in" not in waiting["detail"]
    assert recorded_batches(shop) == [("in_progress", 0, None)]

    batches.end()
    collected = run_night(shop)
    assert has_all_vectors(shop)
    assert (collected["status"], collected["rows_out"], collected["detail"]["under_way"]) == ("done", 7, 0)
    assert collected["detail"]["tokens"] == 21
    assert collected["cost"] == pytest.approx(21 * PRICE)
    assert recorded_batches(shop) == [("completed", 7, None)]
    assert batches.paid == ONCE
    assert has_nothing_left_over(shop)

    asked = len(batches.asked)
    assert run_night(shop)["rows_in"] == 0
    assert (len(batches.asked), len(batches.batches)) == (asked, 1)


def test_what_is_under_way_is_not_asked_for_directly_either(shop, batches, service):
    run_night(shop)
    before = len(service.asked)
    assert run_night(shop, provider="openai")["rows_in"] == 0
    assert len(service.asked) == before
    batches.end()
    run_night(shop)
    assert has_all_vectors(shop)


def test_a_night_that_asks_directly_takes_what_a_batch_has_ready(shop, batches, service):
    run_night(shop)
    waiting = run_night(shop, provider="openai")
    assert (waiting["status"], waiting["rows_out"], waiting["detail"]["under_way"]) == ("done", 0, 7)
    batches.end()
    collected = run_night(shop, provider="openai")
    assert has_all_vectors(shop)
    assert (collected["status"], collected["rows_out"], collected["detail"]["under_way"]) == ("done", 7, 0)
    assert (collected["detail"]["tokens"], collected["cost"]) == (21, pytest.approx(21 * PRICE))
    assert recorded_batches(shop) == [("completed", 7, None)]
    assert has_nothing_left_over(shop)
    assert (batches.paid, service.asked) == (ONCE, [])


def test_what_a_batch_left_without_a_vector_is_asked_for_directly_in_the_same_night(shop, batches, service):
    batches.lines = {"text 3": "500"}
    run_night(shop)
    batches.end()
    summary = run_night(shop, provider="openai")
    assert service.asked == [["text 3"]]
    assert has_all_vectors(shop)
    assert (summary["status"], summary["rows_in"], summary["rows_out"], summary["detail"]["texts"]) == ("done", 1, 7, 1)
    assert summary["cost"] == pytest.approx((18 + 2 * 3) * PRICE), "a token costs twice as much without batches"


def test_a_night_that_cannot_collect_its_batches_asks_for_nothing(shop, batches, service):
    run_night(shop)
    batches.end()
    shop.write(**ALL, new="a text that came later")
    batches.faults["retrieve"] = ["401"]
    summary = run_night(shop, provider="openai")
    assert (summary["status"], summary["rows_in"], summary["detail"]["under_way"]) == ("incomplete", 1, 7)
    assert "doesn't accept OPENAI_API_KEY" in summary["detail"]["ended_by"]
    assert service.asked == []
    run_night(shop, provider="openai")
    assert has_all_vectors(shop)
    assert batches.paid == ONCE


def test_what_collected_batches_cost_counts_for_the_limit_of_the_night(shop, batches, service):
    run_night(shop)
    batches.end()
    shop.write(**ALL, new="new")
    summary = run_night(shop, EmbedOptions(max_cost=21 * PRICE), provider="openai")
    assert has_all_vectors(shop, except_item_ids=["new"])
    assert (summary["status"], summary["rows_out"]) == ("incomplete", 7)
    assert "--max-cost" in summary["detail"]["ended_by"]
    assert service.asked == []


def test_texts_that_arrive_meanwhile_are_handed_in_by_themselves(shop, batches):
    shop.write(**FIRST, **dict([*TEXTS.items()][:3]))
    run_night(shop)
    shop.write(**ALL)
    summary = run_night(shop)
    assert (summary["detail"]["handed_in"], summary["detail"]["under_way"]) == (4, 7)
    batches.end()
    run_night(shop)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE


def test_a_text_that_left_the_catalogue_keeps_its_vector_for_when_it_returns(shop, batches):
    run_night(shop)
    shop.write(**FIRST)
    batches.end()
    run_night(shop)
    shop.write(**ALL)
    assert run_night(shop)["rows_in"] == 0
    assert has_all_vectors(shop)


def test_a_file_holds_a_line_a_text_that_asks_as_a_request_would(shop, batches):
    strange = 'a "quoted"\nline\u2028 and 中文'
    shop.write(**FIRST, strange=strange)
    run_night(shop, vars={})
    (batch,) = batches.batches.values()
    (line,) = batches.files[batch["input_file_id"]].split(b"\n")[:-1]
    assert json.loads(line) == {
        "custom_id": text_hash(strange),
        "method": "POST",
        "url": "/v1/embeddings",
        "body": {"model": "fake", "input": strange, "encoding_format": "base64"},
    }
    [(name,)] = shop.rows("select submission_id from ml.embedding_batches")
    assert batch["metadata"] == {"nextmart_submission": name}
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/embeddings", "24h")


def test_a_model_that_has_sizes_is_told_the_one_that_is_wanted(shop, batches):
    shop.embed(model={"provider": "openai-batch", "model": "text-embedding-3-small", "dimensions": 3})
    (batch,) = batches.batches.values()
    bodies = [json.loads(line)["body"] for line in batches.files[batch["input_file_id"]].splitlines()]
    assert {(body["model"], body["dimensions"]) for body in bodies} == {("text-embedding-3-small", 3)}


# --- limits ---


def test_no_batch_holds_more_texts_than_the_service_allows(shop, batches, monkeypatch):
    monkeypatch.setattr(openai_batch, "MAX_TEXTS", 3)
    assert run_night(shop)["detail"]["handed_in"] == 7
    assert [len(batches.texts(batch)) for batch in batches.batches.values()] == [3, 3, 1]
    batches.end()
    run_night(shop)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE


def test_the_real_limits_are_those_of_the_service():
    assert openai_batch.MAX_TEXTS == 50_000
    assert openai_batch.MAX_TOKENS * 4 < 200e6 - 300 * openai_batch.MAX_TEXTS, "a file may have 200 MB"


def test_no_more_tokens_are_under_way_than_the_settings_allow(shop, batches):
    under_way = []

    def count():
        under_way.append(sum(len(batches.texts(batch)) for batch in batches.under_way()))

    batches.at["create, done"] = count
    for _ in range(3):
        run_night(shop, embedding_batch_enqueued_tokens=8)
        run_night(shop, embedding_batch_enqueued_tokens=8)
        batches.end()
    run_night(shop, embedding_batch_enqueued_tokens=8)
    assert under_way == [2, 2, 2, 1]
    batches.end()
    run_night(shop, embedding_batch_enqueued_tokens=8)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE


# --- waiting ---


def test_one_run_does_all_where_it_may_wait(shop, batches, monkeypatch, capsys):
    monkeypatch.setattr(batch_api, "LONGEST_PAUSE", 0.02)
    batches.at["retrieve"] = lambda: batches.end() if batches.asked.count("retrieve") > 1 else None
    summary = run_night(shop, embedding_batch_wait_minutes=1)
    assert has_all_vectors(shop)
    assert (summary["status"], summary["rows_out"], summary["detail"]["under_way"]) == ("done", 7, 0)
    assert batches.asked.count("create") == 1
    assert "7 texts are under way in 1 batches" in capsys.readouterr().err


def test_a_run_that_waits_hands_in_more_as_soon_as_it_may(shop, batches, monkeypatch):
    monkeypatch.setattr(batch_api, "LONGEST_PAUSE", 0.02)
    batches.at["retrieve"] = batches.end
    options = EmbedOptions(max_cost=21 * PRICE)  # just enough if texts that were bought no longer count as reserved
    summary = run_night(shop, options, embedding_batch_wait_minutes=1, embedding_batch_enqueued_tokens=8)
    assert (summary["status"], summary["rows_out"]) == ("done", 7)
    assert has_all_vectors(shop)
    assert batches.asked.count("create") == 4


def test_a_run_waits_no_longer_than_the_settings_say(shop, batches):
    summary = run_night(shop, embedding_batch_wait_minutes=0.9 / 60)
    assert (summary["status"], summary["detail"]["under_way"]) == ("done", 7)
    assert batches.asked.count("retrieve") == 1


# --- money ---


def test_a_batch_that_would_cost_too_much_is_not_handed_in(shop, batches, monkeypatch):
    monkeypatch.setattr(openai_batch, "MAX_TEXTS", 3)
    summary = run_night(shop, EmbedOptions(max_cost=9 * PRICE))
    assert summary["status"] == "incomplete"
    assert "--max-cost" in summary["detail"]["ended_by"]
    assert (summary["detail"]["handed_in"], summary["detail"]["under_way"]) == (3, 3)
    assert len(batches.batches) == 1
    assert len(recorded_batches(shop)) == 1
    run_night(shop)
    batches.end()
    run_night(shop)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE


# --- the API key ---


@pytest.mark.parametrize("kind", ["upload", "create", "list", "retrieve", "content"])
def test_a_key_that_is_not_accepted_is_told_and_kept_nowhere(shop, batches, kind, capfd):
    batches.faults = {kind: ["401"], **({"create": ["made, 500"]} if kind == "list" else {})}
    nights = [run_night(shop)]
    batches.end()
    nights.append(run_night(shop))
    told = [summary["detail"].get("ended_by", "") for summary in nights]
    assert any("doesn't accept OPENAI_API_KEY: check it" in words for words in told)
    kept = [shop.rows(f"from {table}") for table in ("ml.job_runs", "ml.embedding_batches", "ml.embeddings")]
    said = capfd.readouterr()
    assert KEY not in f"{kept} {nights} {said.out} {said.err}"
    run_nights_until_all_batches_end(shop, batches, night_count=2)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE
    assert shop.labels() == {}


def test_without_a_key_the_variable_to_set_is_named_and_nothing_lost(shop, batches, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        run_night(shop)
    assert batches.asked == []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    run_nights_until_all_batches_end(shop, batches, night_count=2)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE
