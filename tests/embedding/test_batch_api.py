"""The embed job by OpenAI's Batch API, against a real server, by OpenAI's own client; each run is one night."""

import base64
import itertools
import json
import signal
import threading
from contextlib import suppress

import numpy as np
import pytest
from catalogue import text_hash
from fake_batches import FAULTS, SPOILED, FakeBatches
from fake_openai import DIMENSIONS, KEY, FakeOpenAI, vector_of
from pytest_httpserver import HTTPServer

from jobs.embedding import deferred
from jobs.embedding.backfill import Wishes
from jobs.embedding.providers import openai_batch
from jobs.embedding.providers.openai_batch import result_of
from jobs.embedding.providers.openai_batch import vector_of as read_vector
from jobs.errors import NextmartError, UsageError

FIRST = {"first": "the first text"}
TEXTS = {f"item-{number}": f"text {number}" for number in range(7)}  # three tokens each
ALL = {**FIRST, **TEXTS}
ONCE = dict.fromkeys(TEXTS.values(), 1)
PRICE = 0.5 / 1e6  # half of the direct one


@pytest.fixture(scope="module")
def server():
    """One for all tests: to stop one takes half a second."""
    with HTTPServer("127.0.0.1", threaded=True) as server:
        yield server


@pytest.fixture
def service(server, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url_for("/v1"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # every run would read all certificates, and needs none here
    yield FakeOpenAI(server)
    server.clear()


@pytest.fixture
def batches(service):
    fake = FakeBatches(service.server)
    yield fake
    fake.closing.set()


@pytest.fixture
def shop(catalogue, batches):
    """A catalogue that has a vector already, so that a night that fails is incomplete and no error."""
    catalogue.write(**ALL)
    catalogue.connection.execute(
        "insert into ml.embeddings values ('fake', ?, ?, ?, 'ok', null, 3, 'embed-first', now())",
        [DIMENSIONS, text_hash(FIRST["first"]), vector_of(FIRST["first"]).tolist()],
    )
    return catalogue


def night(shop, wishes=None, provider="openai-batch", **settings):
    return shop.embed(wishes, model={"provider": provider}, **{"embedding_timeout_seconds": 5, **settings})


def is_complete(shop, but_for=()):
    texts = dict(shop.rows("select item_id, text from catalog.item_texts"))
    return shop.by_item() == {key: vector_of(text).tolist() for key, text in texts.items() if key not in but_for}


def recorded(shop):
    return shop.rows("select status, results, error from ml.embedding_batches order by created_at, submission_id")


def cost_of_all_nights(shop):
    return shop.rows("select sum(cost) from ml.job_runs where detail ->> 'provider' = 'openai-batch'")[0][0]


def nothing_is_left_over(shop):
    under_way = shop.rows("select * from ml.embedding_batches where ended_at is null")
    return not under_way and not shop.rows("from ml.embedding_batch_texts")


def nights_until_batches(shop, batches, number):
    """Let nights pass, each after the end of what the last one handed in, until so many batches were made."""
    for _ in range(9):
        if len(batches.batches) < number:
            batches.end()
            night(shop)
    assert len(batches.batches) == number


def nights_until_complete(shop, batches, most=4):
    for _ in range(most):
        night(shop)
        batches.end()
    night(shop)


# --- night after night ---


@pytest.mark.parametrize("form", ["base64", "lists"])
def test_texts_are_handed_in_then_left_alone_then_collected_and_paid_once(shop, batches, form):
    batches.form = form
    handed_in = night(shop)
    assert (handed_in["status"], handed_in["rows_in"], handed_in["rows_out"], handed_in["cost"]) == ("done", 7, 0, 0)
    assert {"handed_in": 7, "under_way": 7, "tokens": 0, "failed": 0}.items() <= handed_in["detail"].items()

    waiting = night(shop)
    assert (waiting["status"], waiting["rows_in"], waiting["detail"]["under_way"]) == ("done", 0, 7)
    assert "handed_in" not in waiting["detail"]
    assert recorded(shop) == [("in_progress", 0, None)]

    batches.end()
    collected = night(shop)
    assert is_complete(shop)
    assert (collected["status"], collected["rows_out"], collected["detail"]["under_way"]) == ("done", 7, 0)
    assert collected["detail"]["tokens"] == 21
    assert collected["cost"] == pytest.approx(21 * PRICE)
    assert recorded(shop) == [("completed", 7, None)]
    assert batches.paid == ONCE
    assert nothing_is_left_over(shop)

    asked = len(batches.asked)
    assert night(shop)["rows_in"] == 0
    assert (len(batches.asked), len(batches.batches)) == (asked, 1)


def test_what_is_under_way_is_not_asked_for_directly_either(shop, batches, service):
    night(shop)
    before = len(service.asked)
    assert night(shop, provider="openai")["rows_in"] == 0
    assert len(service.asked) == before
    batches.end()
    night(shop)
    assert is_complete(shop)


def test_texts_that_arrive_meanwhile_are_handed_in_by_themselves(shop, batches):
    shop.write(**FIRST, **dict([*TEXTS.items()][:3]))
    night(shop)
    shop.write(**ALL)
    summary = night(shop)
    assert (summary["detail"]["handed_in"], summary["detail"]["under_way"]) == (4, 7)
    batches.end()
    night(shop)
    assert is_complete(shop)
    assert batches.paid == ONCE


def test_a_text_that_left_the_catalogue_keeps_its_vector_for_when_it_returns(shop, batches):
    night(shop)
    shop.write(**FIRST)
    batches.end()
    night(shop)
    shop.write(**ALL)
    assert night(shop)["rows_in"] == 0
    assert is_complete(shop)


def test_a_file_holds_a_line_a_text_that_asks_as_a_request_would(shop, batches):
    strange = 'a "quoted"\nline\u2028 and 中文'
    shop.write(**FIRST, strange=strange)
    night(shop, vars={})
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
    monkeypatch.setattr(openai_batch, "MOST_TEXTS", 3)
    assert night(shop)["detail"]["handed_in"] == 7
    assert [len(batches.texts(batch)) for batch in batches.batches.values()] == [3, 3, 1]
    batches.end()
    night(shop)
    assert is_complete(shop)
    assert batches.paid == ONCE


def test_the_real_limits_are_those_of_the_service():
    assert openai_batch.MOST_TEXTS == 50_000
    assert openai_batch.MOST_TOKENS * 4 < 200e6 - 300 * openai_batch.MOST_TEXTS, "a file may have 200 MB"


def test_no_more_tokens_are_under_way_than_the_settings_allow(shop, batches):
    under_way = []
    batches.at["created"] = lambda: under_way.append(sum(len(batches.texts(batch)) for batch in batches.under_way()))
    for _ in range(3):
        night(shop, embedding_batch_enqueued_tokens=8)
        night(shop, embedding_batch_enqueued_tokens=8)
        batches.end()
    night(shop, embedding_batch_enqueued_tokens=8)
    assert under_way == [2, 2, 2, 1]
    batches.end()
    night(shop, embedding_batch_enqueued_tokens=8)
    assert is_complete(shop)
    assert batches.paid == ONCE


# --- waiting ---


def test_one_run_does_all_where_it_may_wait(shop, batches, monkeypatch, capsys):
    monkeypatch.setattr(deferred, "LONGEST_PAUSE", 0.02)
    batches.at["retrieve"] = lambda: batches.end() if batches.asked.count("retrieve") > 1 else None
    summary = night(shop, embedding_batch_wait_minutes=1)
    assert is_complete(shop)
    assert (summary["status"], summary["rows_out"], summary["detail"]["under_way"]) == ("done", 7, 0)
    assert batches.asked.count("create") == 1
    assert "7 texts are under way in 1 batches" in capsys.readouterr().err


def test_a_run_that_waits_hands_in_more_as_soon_as_it_may(shop, batches, monkeypatch):
    monkeypatch.setattr(deferred, "LONGEST_PAUSE", 0.02)
    batches.at["retrieve"] = batches.end
    wishes = Wishes(max_cost=21 * PRICE)  # what was bought must not count as still to be bought too
    summary = night(shop, wishes, embedding_batch_wait_minutes=1, embedding_batch_enqueued_tokens=8)
    assert (summary["status"], summary["rows_out"]) == ("done", 7)
    assert is_complete(shop)
    assert batches.asked.count("create") == 4


def test_a_run_waits_no_longer_than_the_settings_say(shop, batches):
    summary = night(shop, embedding_batch_wait_minutes=0.9 / 60)
    assert (summary["status"], summary["detail"]["under_way"]) == ("done", 7)
    assert batches.asked.count("retrieve") == 1


# --- written down first ---


@pytest.mark.parametrize("moment", ["upload", "create"])
def test_a_batch_and_its_texts_are_on_record_before_the_service_hears_of_it(shop, batches, moment):
    seen = []
    other = shop.connection.cursor()  # sees only what is committed

    def look():
        query = "select status, batch_id, texts, tokens, ended_at from ml.embedding_batches"
        seen.extend(other.execute(query).fetchall())
        seen.extend(other.execute("select count(*), sum(tokens)::int from ml.embedding_batch_texts").fetchall())

    batches.at[moment] = look
    night(shop)
    assert seen == [("preparing", None, 7, 21, None), (7, 21)]


MOMENTS = {
    "upload": "preparing", "uploaded": "preparing", "create": "preparing", "created": "preparing",
    "retrieve": "submitted", "content": "completed",
}  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_interrupted_while_the_service_is_busy_buys_nothing_twice(shop, batches, moment):
    def interrupt():
        del batches.at[moment]
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        batches.closing.wait(0.2)  # no answer before it has struck

    batches.at[moment] = interrupt
    if moment == "create":
        batches.faults["create"] = ["500"]  # the request doesn't outlive who made it
    with pytest.raises(KeyboardInterrupt):
        nights_until_complete(shop, batches)
    assert {status for status, _, _ in recorded(shop)} == {MOMENTS[moment]}
    nights_until_complete(shop, batches)
    assert is_complete(shop)
    assert batches.paid == ONCE
    assert nothing_is_left_over(shop)
    assert shop.rows("select distinct status from ml.job_runs where status not in ('done', 'interrupted')") == []


class Dying:
    """The connection of a process that is killed at its nth statement that writes; no later one is carried out either.

    To be killed at one that reads, or at a request, leaves what being killed at the one before or after leaves.
    """

    def __init__(self, connection, statements):
        self.connection, self.left = connection, statements

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, statement, *parameters):
        self.left -= statement.split()[0] in ("insert", "update", "delete", "begin", "commit")
        if self.left < 0:
            raise KeyboardInterrupt
        return self.connection.execute(statement, *parameters)


@pytest.mark.parametrize("dies", ["handing in", "collecting"])
def test_a_run_killed_at_any_statement_ends_like_one_that_was_not(shop, batches, dies, monkeypatch):
    """Die at statement n, for n = 1, 2, … until a run goes through; the two nights after each must mend it."""
    monkeypatch.setattr(deferred, "RESULTS_AT_ONCE", 2)
    monkeypatch.setattr(openai_batch, "MOST_TEXTS", 4)
    alive = shop.connection
    stored = "select text_hash, embedding, status, error, tokens from ml.embeddings order by all"
    night(shop)
    batches.end()
    night(shop)
    wanted = shop.rows(stored)

    for statements in itertools.count():
        for table in ("ml.job_runs", "ml.embedding_batches", "ml.embedding_batch_texts"):
            alive.execute(f"delete from {table}")
        alive.execute("delete from ml.embeddings where text_hash <> ?", [text_hash(FIRST["first"])])
        batches.batches.clear()
        batches.paid.clear()
        if dies == "collecting":
            night(shop)
            batches.end()
        with alive.cursor() as process:  # its end rolls back what it had begun
            shop.connection = dying = Dying(process, statements)
            with suppress(KeyboardInterrupt):
                night(shop)
        shop.connection = alive
        batches.end()
        nights_until_complete(shop, batches, most=1)
        assert shop.rows(stored) == wanted, f"killed at statement {statements}"
        assert batches.paid == ONCE, f"killed at statement {statements}"
        assert nothing_is_left_over(shop), f"killed at statement {statements}"
        if dying.left >= 0:
            break
    assert statements > 12


# --- answers that are lost ---


@pytest.mark.parametrize("fault", FAULTS)
def test_a_batch_is_adopted_if_it_was_made_though_its_answer_was_lost_and_else_handed_in_again(shop, batches, fault):
    batches.faults["create"] = [fault]
    summary = night(shop, embedding_timeout_seconds=0.5)
    assert summary["status"] == "incomplete"
    assert recorded(shop) == [("preparing", 0, None)], "nobody knows yet"
    made = fault.startswith("made")
    assert len(batches.batches) == made
    nights_until_complete(shop, batches, most=2)
    assert batches.asked.count("create") == (1 if made else 2)
    assert is_complete(shop)
    assert batches.paid == ONCE
    assert [status for status, _, _ in recorded(shop)] == (["completed"] if made else ["lost", "completed"])
    assert nothing_is_left_over(shop)


def test_a_batch_whose_answer_was_lost_is_found_behind_pages_of_others(shop, batches):
    batches.faults["create"] = ["made, 500"]
    night(shop)
    (mine,) = batches.batches.values()
    for number in range(5):
        batches.batches[f"other-{number}"] = {**mine, "id": f"other-{number}", "metadata": None, "status": "failed"}
    batches.end()
    night(shop)
    assert is_complete(shop)
    assert batches.asked.count("list") == 3
    assert batches.asked.count("create") == 1


def test_where_the_service_cannot_be_asked_for_a_batch_none_is_handed_in_again(shop, batches):
    batches.faults = {"create": ["made, 500"], "list": ["500"] * 6}
    night(shop)
    assert night(shop)["status"] == "incomplete"
    assert batches.asked.count("create") == 1
    nights_until_complete(shop, batches)
    assert batches.paid == ONCE


@pytest.mark.parametrize("fault", ["500", "429", "made, 500"])
def test_an_upload_that_fails_is_tried_again_with_the_whole_file(shop, batches, fault):
    batches.faults["upload"] = [fault, fault]
    assert night(shop)["status"] == "done"
    (batch,) = batches.batches.values()
    assert sorted(batches.texts(batch)) == sorted(TEXTS.values())


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("upload", "500"), ("upload", "a page"), ("upload", "truncated"), ("retrieve", "500"), ("retrieve", "429"),
        ("retrieve", "a page"), ("retrieve", "truncated"), ("content", "500"), ("content", "cut off"),
    ],
)  # fmt: skip
def test_a_service_that_is_down_ends_the_night_and_no_text_is_blamed(shop, batches, kind, fault):
    batches.faults[kind] = [fault] * (6 if fault in ("500", "429") else 1)  # the client tries again on its own
    nights = [night(shop)]
    batches.end()
    nights.append(night(shop))
    (told,) = [summary["detail"]["ended_by"] for summary in nights if summary["status"] == "incomplete"]
    assert "the embedding service" in told
    assert shop.labels() == {}
    nights_until_complete(shop, batches, most=1)
    assert is_complete(shop)
    assert batches.paid == ONCE


def test_a_passing_fault_is_waited_out(shop, batches):
    night(shop)
    batches.end()
    batches.faults = {"retrieve": ["500", "429"], "content": ["500", "500"]}
    assert night(shop)["status"] == "done"
    assert is_complete(shop)


def test_results_cut_off_in_the_middle_are_taken_again_and_counted_once(shop, batches, monkeypatch):
    monkeypatch.setattr(deferred, "RESULTS_AT_ONCE", 2)
    night(shop)
    batches.end()
    batches.faults["content"] = ["cut off"]
    summary = night(shop)
    assert summary["status"] == "incomplete"
    assert 0 < summary["rows_out"] < 7, "what had arrived stays"
    assert night(shop)["status"] == "done"
    assert is_complete(shop)
    assert batches.paid == ONCE
    assert cost_of_all_nights(shop) == pytest.approx(21 * PRICE)


# --- batches that end otherwise ---


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_what_a_batch_had_reached_is_kept_and_the_rest_asked_for_again(shop, batches, status):
    night(shop)
    batches.end(status, reached=3)
    summary = night(shop)
    assert (summary["rows_out"], summary["detail"]["handed_in"], summary["detail"]["under_way"]) == (3, 4, 4)
    assert summary["cost"] == pytest.approx(9 * PRICE)
    assert recorded(shop)[0][:2] == (status, 3)
    batches.end()
    night(shop)
    assert is_complete(shop)
    assert batches.paid == ONCE
    assert nothing_is_left_over(shop)


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_a_batch_that_ends_without_a_result_is_told_and_handed_in_again_the_next_night(shop, batches, status):
    night(shop)
    batches.end(status, reached=0, reason=f"the file of {KEY} is no good")
    summary = night(shop)
    assert summary["status"] == "incomplete"
    assert (
        f"{status} without a vector of 4 dimensions: the file of <OPENAI_API_KEY> is no good"
        in summary["detail"]["ended_by"]
    )
    assert recorded(shop) == [(status, 0, "the file of <OPENAI_API_KEY> is no good")]
    assert batches.asked.count("create") == 1, "at once it would end no better"
    assert shop.labels() == {}
    nights_until_complete(shop, batches, most=1)
    assert is_complete(shop)
    assert nothing_is_left_over(shop)


@pytest.mark.parametrize("reached", [0, 2])
def test_a_text_that_was_never_reached_is_never_blamed(shop, batches, reached):
    for _ in range(deferred.BATCHES_A_TEXT + 1):
        batches.end("expired", reached=reached)
        night(shop)
        night(shop)
    assert shop.labels() == {}


def test_one_failed_batch_does_not_keep_the_results_of_another_waiting(shop, batches, monkeypatch):
    monkeypatch.setattr(openai_batch, "MOST_TEXTS", 4)
    night(shop)
    first, _ = batches.under_way()
    first["status"] = "failed"
    batches.end()
    summary = night(shop)
    assert (summary["status"], summary["rows_out"]) == ("incomplete", 3)
    nights_until_complete(shop, batches, most=1)
    assert is_complete(shop)


def test_a_batch_that_the_service_no_longer_knows_is_handed_in_again(shop, batches):
    night(shop)
    batches.faults["retrieve"] = ["404"] * 2
    assert "gone" in night(shop)["detail"]["ended_by"]
    assert recorded(shop) == [("gone", 0, "the service doesn't know it (any more)")]
    nights_until_complete(shop, batches, most=1)
    assert is_complete(shop)


def test_vectors_of_another_size_than_the_settings_say_end_the_run_before_more_are_bought(shop, batches):
    batches.lines = dict.fromkeys(TEXTS.values(), "dimensions")
    night(shop)
    batches.end()
    summary = night(shop, embedding_batch_wait_minutes=1)
    assert "without a vector of 4 dimensions" in summary["detail"]["ended_by"]
    assert batches.asked.count("create") == 1


def test_a_failed_batch_is_an_error_where_there_is_no_vector_at_all(catalogue, batches):
    catalogue.write(**TEXTS)
    night(catalogue)
    batches.end("failed", reason=f"the file of {KEY} is no good")
    with pytest.raises(NextmartError, match="failed without a vector of 4") as raised:
        night(catalogue)
    assert KEY not in str(raised.value)


# --- lines that are wrong ---


def test_a_refused_text_is_labelled_and_its_neighbours_go_through(shop, batches):
    batches.lines = {"text 3": "400"}
    night(shop)
    batches.end()
    summary = night(shop)
    (label,) = shop.labels().items()
    assert label == ("item-3", ("failed", "the embedding service answers 400: this text is not allowed"))
    assert (summary["status"], summary["rows_out"], summary["detail"]["failed"]) == ("done", 6, 1)
    assert nothing_is_left_over(shop)

    assert night(shop)["rows_in"] == 0, "a refused text is not asked about every night"
    assert len(batches.batches) == 1
    batches.lines = {}
    assert night(shop, Wishes(retry_failed=True))["detail"]["handed_in"] == 1
    assert night(shop, Wishes(retry_failed=True))["rows_in"] == 0, "it is under way"
    batches.end()
    night(shop)
    assert is_complete(shop)


def test_texts_without_a_usable_vector_are_asked_for_again_and_given_up_after_some_batches(shop, batches):
    wrong = {f"a text whose line is {fault}": fault for fault in ["500", "missing", *SPOILED]}
    shop.write(**ALL, **{fault: text for text, fault in wrong.items()})
    batches.lines = wrong
    nights_until_batches(shop, batches, deferred.BATCHES_A_TEXT)
    assert is_complete(shop, but_for=wrong.values())
    assert [len(batches.texts(batch)) for batch in batches.batches.values()] == [7 + len(wrong), len(wrong), len(wrong)]
    assert shop.labels() == {}

    batches.end()
    assert night(shop)["detail"]["failed"] == len(wrong)
    labels = shop.labels()
    assert labels.pop("500") == ("failed", "the embedding service answers 500: the model stumbled")
    assert labels == {
        fault: ("failed", "3 batches gave no usable vector") for fault in wrong.values() if fault != "500"
    }  # fmt: skip
    assert batches.paid == ONCE
    assert batches.spoiled == dict.fromkeys((text for text, fault in wrong.items() if fault in SPOILED), 3)
    readable = 7 + 3 * len({"NaN", "zeros", "dimensions"})  # of other lines nobody can say what they cost
    assert cost_of_all_nights(shop) == pytest.approx(3 * readable * PRICE)
    assert nothing_is_left_over(shop)
    night(shop)
    assert len(batches.batches) == 3, "they are not asked about every night"

    batches.lines = {}
    night(shop, Wishes(retry_failed=True))
    batches.end()
    night(shop)
    assert shop.labels() == {}
    assert is_complete(shop)


@pytest.mark.parametrize("fault", ["500", "NaN"])
def test_a_text_that_is_only_unlucky_is_not_given_up(shop, batches, fault):
    batches.lines = {"text 3": fault}
    nights_until_batches(shop, batches, deferred.BATCHES_A_TEXT)
    batches.lines = {}
    batches.end()
    night(shop)
    assert is_complete(shop)
    assert shop.labels() == {}


@pytest.mark.parametrize("fault", ["page", "missing", "500", "dimensions"])
def test_a_service_that_never_gives_a_vector_is_not_paid_for_ever(shop, batches, fault):
    batches.lines = dict.fromkeys(TEXTS.values(), fault)
    nights_until_complete(shop, batches, most=7)
    assert len(batches.batches) == deferred.BATCHES_A_TEXT
    assert {status for status, _ in shop.labels().values()} == {"failed"}


def test_a_line_that_comes_twice_is_stored_once(shop, batches):
    batches.lines = {"text 3": "twice"}
    night(shop)
    batches.end()
    assert night(shop)["rows_out"] == 7
    assert is_complete(shop)


def test_a_service_that_does_not_count_tokens_loses_no_vector(shop, batches):
    batches.usage = False
    night(shop)
    batches.end()
    night(shop)
    assert is_complete(shop)


# --- money ---


def test_a_batch_that_would_cost_too_much_is_not_handed_in(shop, batches, monkeypatch):
    monkeypatch.setattr(openai_batch, "MOST_TEXTS", 3)
    summary = night(shop, Wishes(max_cost=9 * PRICE))
    assert summary["status"] == "incomplete"
    assert "--max-cost" in summary["detail"]["ended_by"]
    assert (summary["detail"]["handed_in"], summary["detail"]["under_way"]) == (3, 3)
    assert len(batches.batches) == 1
    assert len(recorded(shop)) == 1
    night(shop)
    batches.end()
    night(shop)
    assert is_complete(shop)
    assert batches.paid == ONCE


# --- the key ---


@pytest.mark.parametrize("kind", ["upload", "create", "list", "retrieve", "content"])
def test_a_key_that_is_not_accepted_is_told_and_kept_nowhere(shop, batches, kind, capfd):
    batches.faults = {kind: ["401"], **({"create": ["made, 500"]} if kind == "list" else {})}
    nights = [night(shop)]
    batches.end()
    nights.append(night(shop))
    told = [summary["detail"].get("ended_by", "") for summary in nights]
    assert any("doesn't accept OPENAI_API_KEY: check it" in words for words in told)
    kept = [shop.rows(f"from {table}") for table in ("ml.job_runs", "ml.embedding_batches", "ml.embeddings")]
    said = capfd.readouterr()
    assert KEY not in f"{kept} {nights} {said.out} {said.err}"
    nights_until_complete(shop, batches, most=2)
    assert is_complete(shop)
    assert batches.paid == ONCE
    assert shop.labels() == {}


def test_without_a_key_the_variable_to_set_is_named_and_nothing_lost(shop, batches, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        night(shop)
    assert batches.asked == []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    nights_until_complete(shop, batches, most=2)
    assert is_complete(shop)
    assert batches.paid == ONCE


# --- reading lines ---


def line(**changes):
    body = {"data": [{"embedding": [1, 2]}], "usage": {"prompt_tokens": 3}}
    answer = {"status_code": 200, "body": body}
    return json.dumps({"custom_id": "key", "response": answer, "error": None, **changes})


def answered(**body):
    return line(response={"status_code": 200, "body": {"data": [{"embedding": [1, 2]}], **body}})


def test_a_right_line_is_read():
    result = result_of(line())
    assert (result.key, result.vector.tolist(), result.tokens, result.error) == ("key", [1, 2], 3, "")


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
    assert result_of(text) is None


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}])
def test_a_line_that_does_not_count_tokens_is_read(usage):
    result = result_of(answered(usage=usage))
    assert (result.vector.tolist(), result.tokens) == ([1, 2], 0)


@pytest.mark.parametrize(("status", "is_final"), [(400, True), (413, True), (422, True), (429, False), (500, False)])
def test_an_error_line_says_whether_to_ask_again(status, is_final):
    result = result_of(line(response={"status_code": status, "body": {"error": {"message": "no"}}}))
    assert (result.key, result.vector, result.tokens) == ("key", None, 0)
    assert result.error == f"the embedding service answers {status}: no"
    assert result.is_final is is_final


def test_an_error_without_an_answer_is_read_too():
    result = result_of(line(response=None, error={"code": "request_timeout", "message": "it took too long"}))
    assert result.error == "the embedding service answers nothing: it took too long"
    assert not result.is_final


def test_both_forms_of_a_vector_are_read_alike():
    vector = np.array([1.5, -2.25, 1e-30], dtype=np.float32)
    spelt = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    for form in (spelt, vector.tolist()):
        np.testing.assert_array_equal(read_vector(form), vector)
        assert read_vector(form).dtype == np.float32
