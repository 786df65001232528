"""Runs that are killed, and answers that are lost: no batch is bought twice, and none is forgotten."""

import itertools
import signal
import threading
from contextlib import suppress

import pytest
from batch_nights import (
    FIRST,
    ONCE,
    PRICE,
    TEXTS,
    cost_of_all_nights,
    has_all_vectors,
    has_nothing_left_over,
    recorded_batches,
    run_night,
    run_nights_until_all_batches_end,
)
from catalogue import text_hash
from fake_batches import FAULTS

from jobs.embedding import batch_api
from jobs.embedding.providers import openai_batch

# --- batches are recorded before they are submitted ---


@pytest.mark.parametrize("moment", ["upload", "create"])
def test_a_batch_and_its_texts_are_on_record_before_the_service_hears_of_it(shop, batches, moment):
    seen = []
    other = shop.connection.cursor()  # another connection, which sees only committed rows

    def look():
        query = "select status, batch_id, texts, tokens, ended_at from ml.embedding_batches"
        seen.extend(other.execute(query).fetchall())
        seen.extend(other.execute("select count(*), sum(tokens)::int from ml.embedding_batch_texts").fetchall())

    batches.at[moment] = look
    run_night(shop)
    assert seen == [("preparing", None, 7, 21, None), (7, 21)]


MOMENTS = {
    "upload": "preparing",
    "upload, done": "preparing",
    "create": "preparing",
    "create, done": "preparing",
    "retrieve": "submitted",
    "content": "completed",
}


@pytest.fixture
def ctrl_c_is_heard():
    """Handle SIGINT, which Python ignores in a background job of a shell, where these tests may run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_a_run_interrupted_while_the_service_is_busy_buys_nothing_twice(shop, batches, moment):
    def interrupt():
        del batches.at[moment]
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        batches.closing.wait(0.2)  # answer only after the signal has arrived

    batches.at[moment] = interrupt
    if moment == "create":
        batches.faults["create"] = ["500"]  # the killed client's request creates no batch
    with pytest.raises(KeyboardInterrupt):
        run_nights_until_all_batches_end(shop, batches)
    assert {status for status, _, _ in recorded_batches(shop)} == {MOMENTS[moment]}
    run_nights_until_all_batches_end(shop, batches)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE
    assert has_nothing_left_over(shop)
    assert shop.rows("select distinct status from ml.job_runs where status not in ('done', 'interrupted')") == []


class Dying:
    """A connection of a process that is killed at its nth writing statement; later statements are not executed either.

    A kill at a reading statement, or at a request, leaves the same state as one at the writing statement before or
    after.
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
    """Kill a run at statement n, for n = 1, 2, … until one ends by itself; two more nights must repair each."""
    monkeypatch.setattr(batch_api, "RESULTS_PER_COMMIT", 2)
    monkeypatch.setattr(openai_batch, "MAX_TEXTS", 4)
    alive = shop.connection
    stored = "select text_hash, embedding, status, error, tokens from ml.embeddings order by all"
    run_night(shop)
    batches.end()
    run_night(shop)
    wanted = shop.rows(stored)

    for statements in itertools.count():
        for table in ("ml.job_runs", "ml.embedding_batches", "ml.embedding_batch_texts"):
            alive.execute(f"delete from {table}")
        alive.execute("delete from ml.embeddings where text_hash <> ?", [text_hash(FIRST["first"])])
        batches.batches.clear()
        batches.paid.clear()
        if dies == "collecting":
            run_night(shop)
            batches.end()
        with alive.cursor() as process:  # closing it rolls back an open transaction
            shop.connection = dying = Dying(process, statements)
            with suppress(KeyboardInterrupt):
                run_night(shop)
        shop.connection = alive
        batches.end()
        run_nights_until_all_batches_end(shop, batches, night_count=1)
        assert shop.rows(stored) == wanted, f"killed at statement {statements}"
        assert batches.paid == ONCE, f"killed at statement {statements}"
        assert has_nothing_left_over(shop), f"killed at statement {statements}"
        if dying.left >= 0:
            break
    assert statements > 12


# --- lost answers ---


@pytest.mark.parametrize("fault", FAULTS)
def test_a_batch_is_adopted_if_it_was_made_though_its_answer_was_lost_and_else_handed_in_again(shop, batches, fault):
    batches.faults["create"] = [fault]
    summary = run_night(shop, embedding_timeout_seconds=0.5)
    assert summary["status"] == "incomplete"
    assert recorded_batches(shop) == [("preparing", 0, None)], "nobody knows yet"
    made = fault.startswith("made")
    assert len(batches.batches) == made
    run_nights_until_all_batches_end(shop, batches, night_count=2)
    assert batches.asked.count("create") == (1 if made else 2)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE
    assert [status for status, _, _ in recorded_batches(shop)] == (["completed"] if made else ["lost", "completed"])
    assert has_nothing_left_over(shop)


def test_a_batch_whose_answer_was_lost_is_found_behind_pages_of_others(shop, batches):
    batches.faults["create"] = ["made, 500"]
    run_night(shop)
    (mine,) = batches.batches.values()
    for number in range(5):
        batches.batches[f"other-{number}"] = {**mine, "id": f"other-{number}", "metadata": None, "status": "failed"}
    batches.end()
    run_night(shop)
    assert has_all_vectors(shop)
    assert batches.asked.count("list") == 3
    assert batches.asked.count("create") == 1


def test_where_the_service_cannot_be_asked_for_a_batch_none_is_handed_in_again(shop, batches):
    batches.faults = {"create": ["made, 500"], "list": ["500"] * 6}
    run_night(shop)
    assert run_night(shop)["status"] == "incomplete"
    assert batches.asked.count("create") == 1
    run_nights_until_all_batches_end(shop, batches)
    assert batches.paid == ONCE


@pytest.mark.parametrize("fault", ["500", "429", "made, 500"])
def test_an_upload_that_fails_is_tried_again_with_the_whole_file(shop, batches, fault):
    batches.faults["upload"] = [fault, fault]
    assert run_night(shop)["status"] == "done"
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
    batches.faults[kind] = [fault] * (6 if fault in ("500", "429") else 1)  # OpenAI's client retries these by itself
    nights = [run_night(shop)]
    batches.end()
    nights.append(run_night(shop))
    (told,) = [summary["detail"]["ended_by"] for summary in nights if summary["status"] == "incomplete"]
    assert "the embedding service" in told
    assert shop.labels() == {}
    run_nights_until_all_batches_end(shop, batches, night_count=1)
    assert has_all_vectors(shop)
    assert batches.paid == ONCE


def test_a_passing_fault_is_waited_out(shop, batches):
    run_night(shop)
    batches.end()
    batches.faults = {"retrieve": ["500", "429"], "content": ["500", "500"]}
    assert run_night(shop)["status"] == "done"
    assert has_all_vectors(shop)


def test_results_cut_off_in_the_middle_are_taken_again_and_counted_once(shop, batches, monkeypatch):
    monkeypatch.setattr(batch_api, "RESULTS_PER_COMMIT", 2)
    run_night(shop)
    batches.end()
    batches.faults["content"] = ["cut off"]
    summary = run_night(shop)
    assert summary["status"] == "incomplete"
    assert 0 < summary["rows_out"] < 7, "what had arrived stays"
    assert run_night(shop)["status"] == "done"
    assert has_all_vectors(shop)
    assert batches.paid == ONCE
    assert cost_of_all_nights(shop) == pytest.approx(21 * PRICE)
