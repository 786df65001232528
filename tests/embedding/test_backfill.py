"""The embed job: each text is paid for once, and what was bought stays."""

import hashlib

import duckdb
import numpy as np
import pytest

from jobs.embedding import backfill
from jobs.errors import NextmartError
from jobs.runner import run
from jobs.settings import Settings
from jobs.warehouse import prepare

DIMENSIONS = 4


def text_hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def vector_of(text):
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:DIMENSIONS], np.uint8).astype(np.float32) + 1


class FakeProvider:
    """Counts what it is paid for; answers differently or fails in the calls that are named."""

    def __init__(self):
        self.made, self.calls, self.answers = 0, [], {}

    @property
    def paid(self):
        return [text for call in self.calls for text in call]

    def embed(self, texts):
        answer = self.answers.get(len(self.calls))
        if isinstance(answer, Exception):
            self.answers.pop(len(self.calls))
            raise answer
        self.calls.append(texts)
        vectors = np.array([vector_of(text) for text in texts])
        return (answer(vectors) if answer else vectors), 3 * len(texts)


@pytest.fixture
def provider(monkeypatch):
    fake = FakeProvider()

    def make(settings, names):
        fake.made += 1
        return fake

    monkeypatch.setattr(backfill, "provider_for", make)
    return fake


@pytest.fixture
def connection():
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone = 'UTC'")
        prepare(connection)
        connection.execute("create schema catalog")
        connection.execute(
            "create table catalog.item_texts "
            "(item_id varchar, text varchar, text_hash varchar, template_version varchar)"
        )
        yield connection


def write(connection, **texts):
    """Make ``catalog.item_texts`` hold these texts by item_id."""
    connection.execute("delete from catalog.item_texts")
    for item_id, text in texts.items():
        connection.execute("insert into catalog.item_texts values (?, ?, ?, 'title')", [item_id, text, text_hash(text)])


def embed(connection, batch_size=256, **names):
    names = {"embedding_model": "fake", "embedding_dimensions": DIMENSIONS, **names}
    return run("embed", connection, Settings(embedding_batch_size=batch_size, vars=names))


def stored(connection):
    """Vectors by text hash, None where a text has only a label."""
    rows = connection.execute("select text_hash, embedding from ml.embeddings").fetchall()
    return {key: None if vector is None else list(vector) for key, vector in rows}


def vectors_by_item(connection):
    rows = connection.execute(
        "select item_id, embedding from catalog.item_texts inner join ml.embeddings using (text_hash)"
    ).fetchall()
    return {item_id: list(vector) for item_id, vector in rows}


def test_each_text_gets_its_own_vector(connection, provider):
    texts = {f"item-{number:02}": "word " * (number % 5) + str(number) for number in range(23)}
    write(connection, **texts)
    summary = embed(connection, batch_size=4)
    assert vectors_by_item(connection) == {item_id: vector_of(text).tolist() for item_id, text in texts.items()}
    assert summary["status"] == "done"
    assert (summary["rows_in"], summary["rows_out"]) == (23, 23)
    assert summary["detail"] == {"texts": 23, "tokens": 69, "embedding_model": "fake"}
    assert max(map(len, provider.calls)) <= 4
    assert len(provider.calls) == 6


def test_rows_say_which_model_and_run_they_are_of(connection, provider):
    write(connection, a="red shoe")
    run_id = embed(connection)["run_id"]
    rows = connection.execute(
        "select embedding_model, dimensions, status, error, run_id, created_at is not null from ml.embeddings"
    ).fetchall()
    assert rows == [("fake", DIMENSIONS, "ok", None, run_id, True)]


def test_with_nothing_missing_the_provider_is_not_even_made(connection, provider):
    write(connection, a="red shoe", b="blue shoe")
    embed(connection)
    before = stored(connection)
    summary = embed(connection)
    assert provider.made == 1
    assert len(provider.paid) == 2
    assert summary["rows_in"] == summary["rows_out"] == 0
    assert stored(connection) == before


def test_without_any_item_the_provider_is_not_made(connection, provider):
    assert embed(connection)["rows_in"] == 0
    assert provider.made == 0


def test_equal_texts_are_embedded_once(connection, provider):
    write(connection, a="red shoe", b="red shoe", c="blue shoe", d="red shoe")
    embed(connection)
    assert sorted(provider.paid) == ["blue shoe", "red shoe"]
    assert vectors_by_item(connection)["d"] == vector_of("red shoe").tolist()


@pytest.mark.parametrize("empty", ["", "   ", "\n\t"])
def test_an_empty_text_is_labelled_and_never_asked_about(connection, provider, empty):
    write(connection, a=empty, b="red shoe")
    embed(connection)
    assert provider.paid == ["red shoe"]
    assert stored(connection)[text_hash(empty)] is None
    (status,) = connection.execute(
        "select status from ml.embeddings where text_hash = ?", [text_hash(empty)]
    ).fetchone()
    assert status == "empty"
    assert embed(connection)["rows_in"] == 0


def test_empty_texts_alone_need_no_provider(connection, provider):
    write(connection, a="", b=" ")
    embed(connection)
    assert provider.made == 0
    assert len(stored(connection)) == 2


def test_a_failure_keeps_the_batches_before_it_and_the_next_run_pays_only_for_the_rest(connection, provider):
    texts = {f"item-{number}": f"text {number}" for number in range(10)}
    write(connection, **texts)
    provider.answers[3] = NextmartError("the service is away")
    with pytest.raises(NextmartError, match="away"):
        embed(connection, batch_size=2)
    assert len(stored(connection)) == len(provider.paid) == 6
    runs = connection.execute("select status, rows_in, rows_out, error from ml.job_runs").fetchall()
    assert runs == [("failed", 10, 6, "NextmartError: the service is away")]
    summary = embed(connection, batch_size=2)
    assert summary["rows_in"] == summary["rows_out"] == 4
    assert sorted(provider.paid) == sorted(texts.values())
    assert vectors_by_item(connection) == {item_id: vector_of(text).tolist() for item_id, text in texts.items()}


def test_a_changed_text_gets_a_new_row_and_the_old_vector_stays(connection, provider):
    write(connection, a="red shoe", b="blue shoe")
    embed(connection)
    write(connection, a="red boot", b="blue shoe")
    embed(connection)
    assert provider.paid[2:] == ["red boot"]
    assert stored(connection) == {
        text_hash(text): vector_of(text).tolist() for text in ("red shoe", "blue shoe", "red boot")
    }
    assert vectors_by_item(connection)["a"] == vector_of("red boot").tolist()


def test_a_text_that_comes_back_costs_nothing(connection, provider):
    for text in ("red shoe", "red boot", "red shoe"):
        write(connection, a=text)
        embed(connection)
    assert provider.paid == ["red shoe", "red boot"]


def test_items_that_swap_their_texts_swap_their_vectors_for_nothing(connection, provider):
    write(connection, a="red shoe", b="blue shoe")
    embed(connection)
    write(connection, a="blue shoe", b="red shoe")
    embed(connection)
    assert len(provider.paid) == 2
    assert vectors_by_item(connection) == {
        "a": vector_of("blue shoe").tolist(),
        "b": vector_of("red shoe").tolist(),
    }


def test_another_model_or_size_has_vectors_of_its_own(connection, provider):
    write(connection, a="red shoe")
    embed(connection)
    embed(connection, embedding_model="other")
    provider.answers[2] = lambda vectors: vectors[:, :2]
    embed(connection, embedding_dimensions=2)
    assert len(provider.paid) == 3
    rows = connection.execute(
        "select embedding_model, dimensions, len(embedding) from ml.embeddings order by all"
    ).fetchall()
    assert rows == [("fake", 2, 2), ("fake", 4, 4), ("other", 4, 4)]


def spoil(value):
    def answer(vectors):
        vectors[1] = value
        return vectors

    return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda vectors: vectors[:, :3], "embedding_dimensions"),
        (lambda vectors: vectors[:1], "shape"),
        (lambda vectors: vectors.ravel(), "shape"),
        (spoil(0), "text 1 .* zero or not finite"),
        (spoil(np.nan), "text 1 .* zero or not finite"),
        (spoil(np.inf), "text 1 .* zero or not finite"),
    ],
    ids=["short vectors", "too few", "flat", "zero", "NaN", "infinite"],
)
def test_a_wrong_answer_is_refused_and_nothing_of_its_batch_stored(connection, provider, answer, message):
    write(connection, a="one", b="three", c="eleven", d="thirteen")
    provider.answers[1] = answer
    with pytest.raises(NextmartError, match=message):
        embed(connection, batch_size=2)
    assert set(stored(connection)) == {text_hash("one"), text_hash("three")}
    provider.answers.clear()
    embed(connection, batch_size=2)
    assert len(stored(connection)) == 4


def test_texts_keep_quotes_newlines_and_other_scripts(connection, provider):
    texts = {"a": 'it\'s "new"', "b": "two\nlines; drop table x", "c": "Schuhgröße 靴 👟"}
    write(connection, **texts)
    embed(connection)
    assert sorted(provider.paid) == sorted(texts.values())


@pytest.mark.parametrize(("texts", "size"), [(0, 3), (1, 3), (3, 3), (4, 3), (10, 4), (256, 256), (7, 1)])
def test_batches_are_whole_in_order_and_of_nearly_equal_size(texts, size):
    numbers = [(str(number), "") for number in range(texts)]
    cut = list(backfill.batches(numbers, size))
    assert [pair for batch in cut for pair in batch] == numbers
    lengths = [len(batch) for batch in cut] or [0]
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
