"""The embed job: each text is paid for once, and vectors that were bought stay."""

import numpy as np
import pytest
from catalogue import text_hash
from fake_openai import DIMENSIONS, vector_of

from jobs.dbt_vars import EmbeddingModel
from jobs.embedding import backfill, backlog
from jobs.embedding.backfill import EmbedOptions
from jobs.embedding.provider import EmbeddingAnswer, RequestLimits
from jobs.errors import NextmartError, UsageError
from jobs.services.errors import ActionNeededError


class FakeProvider:
    """A provider that counts what it is paid for; ``answers`` says in which calls it answers differently or fails."""

    def __init__(self):
        self.made, self.calls, self.answers = 0, [], {}
        self.request_limits = RequestLimits(texts_per_request=2048)
        self.usd_per_million_tokens = 1.0
        self.max_requests_in_flight = 1

    @property
    def paid(self):
        return [text for call in self.calls for text in call]

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def truncate_text(self, text, max_tokens):
        return " ".join(text.split()[:max_tokens])

    def embed(self, texts):
        answer = self.answers.get(len(self.calls))
        if isinstance(answer, Exception):
            self.answers.pop(len(self.calls))
            raise answer
        self.calls.append(texts)
        vectors = np.array([vector_of(text) for text in texts])
        return EmbeddingAnswer(answer(vectors) if answer else vectors, sum(self.count_tokens(texts)))


@pytest.fixture
def provider(monkeypatch):
    fake = FakeProvider()

    def make(settings, model):
        fake.made += 1
        return fake

    monkeypatch.setattr(backfill, "provider_for", make)
    return fake


def test_each_text_gets_its_own_vector(catalogue, provider):
    texts = {f"item-{number:02}": "word " * (number % 5) + str(number) for number in range(23)}
    words = sum(len(text.split()) for text in texts.values())
    catalogue.write(**texts)
    summary = catalogue.embed(embedding_batch_size=4)
    assert catalogue.by_item() == {item_id: vector_of(text).tolist() for item_id, text in texts.items()}
    assert summary["status"] == "done"
    assert (summary["rows_in"], summary["rows_out"]) == (23, 23)
    assert summary["detail"] == {
        "embedding_model": "fake",
        "provider": "openai",
        "texts": 23,
        "failed": 0,
        "tokens": words,
    }
    assert summary["cost"] == pytest.approx(words / 1e6)
    assert max(map(len, provider.calls)) <= 4
    assert len(provider.calls) == 6


def test_rows_say_which_model_and_run_they_are_of(catalogue, provider):
    catalogue.write(a="red shoe")
    run_id = catalogue.embed()["run_id"]
    rows = catalogue.connection.execute(
        "select embedding_model, dimensions, status, error, run_id, created_at is not null from ml.embeddings"
    ).fetchall()
    assert rows == [("fake", DIMENSIONS, "ok", None, run_id, True)]


def test_with_nothing_missing_the_provider_is_not_even_made(catalogue, provider):
    catalogue.write(a="red shoe", b="blue shoe")
    catalogue.embed()
    before = catalogue.stored()
    summary = catalogue.embed()
    assert provider.made == 1
    assert len(provider.paid) == 2
    assert summary["rows_in"] == summary["rows_out"] == 0
    assert catalogue.stored() == before


def test_without_any_item_the_provider_is_not_made(catalogue, provider):
    assert catalogue.embed()["rows_in"] == 0
    assert provider.made == 0


def test_equal_texts_are_embedded_once(catalogue, provider):
    catalogue.write(a="red shoe", b="red shoe", c="blue shoe", d="red shoe")
    catalogue.embed()
    assert sorted(provider.paid) == ["blue shoe", "red shoe"]
    assert catalogue.by_item()["d"] == vector_of("red shoe").tolist()


@pytest.mark.parametrize("empty", ["", "   ", "\n\t"])
def test_an_empty_text_is_labelled_and_never_asked_about(catalogue, provider, empty):
    catalogue.write(a=empty, b="red shoe")
    catalogue.embed()
    assert provider.paid == ["red shoe"]
    assert catalogue.stored()[text_hash(empty)] is None
    (status,) = catalogue.connection.execute(
        "select status from ml.embeddings where text_hash = ?", [text_hash(empty)]
    ).fetchone()
    assert status == "empty"
    assert catalogue.embed()["rows_in"] == 0


def test_empty_texts_alone_need_no_provider(catalogue, provider):
    catalogue.write(a="", b=" ")
    catalogue.embed()
    assert provider.made == 0
    assert len(catalogue.stored()) == 2


def test_a_failure_keeps_the_batches_before_it_and_the_next_run_pays_only_for_the_rest(catalogue, provider):
    texts = {f"item-{number}": f"text {number}" for number in range(10)}
    catalogue.write(**texts)
    provider.answers[3] = ActionNeededError("the quota is used up")
    summary = catalogue.embed(embedding_batch_size=2)
    assert len(catalogue.stored()) == len(provider.paid) == 6
    assert (summary["status"], summary["rows_in"], summary["rows_out"]) == ("incomplete", 10, 6)
    assert summary["detail"]["ended_by"] == "the quota is used up"
    summary = catalogue.embed(embedding_batch_size=2)
    assert summary["rows_in"] == summary["rows_out"] == 4
    assert sorted(provider.paid) == sorted(texts.values())
    assert catalogue.by_item() == {item_id: vector_of(text).tolist() for item_id, text in texts.items()}


def test_without_any_vector_there_is_nothing_to_go_on_with(catalogue, provider):
    catalogue.write(a="red shoe")
    provider.answers[0] = ActionNeededError("the quota is used up")
    with pytest.raises(NextmartError, match="quota"):
        catalogue.embed()
    assert catalogue.rows("select status, error from ml.job_runs") == [
        ("failed", "ActionNeededError: the quota is used up")
    ]


def test_a_changed_text_gets_a_new_row_and_the_old_vector_stays(catalogue, provider):
    catalogue.write(a="red shoe", b="blue shoe")
    catalogue.embed()
    catalogue.write(a="red boot", b="blue shoe")
    catalogue.embed()
    assert provider.paid[2:] == ["red boot"]
    assert catalogue.stored() == {
        text_hash(text): vector_of(text).tolist() for text in ("red shoe", "blue shoe", "red boot")
    }
    assert catalogue.by_item()["a"] == vector_of("red boot").tolist()


def test_a_text_that_comes_back_costs_nothing(catalogue, provider):
    for text in ("red shoe", "red boot", "red shoe"):
        catalogue.write(a=text)
        catalogue.embed()
    assert provider.paid == ["red shoe", "red boot"]


def test_items_that_swap_their_texts_swap_their_vectors_for_nothing(catalogue, provider):
    catalogue.write(a="red shoe", b="blue shoe")
    catalogue.embed()
    catalogue.write(a="blue shoe", b="red shoe")
    catalogue.embed()
    assert len(provider.paid) == 2
    assert catalogue.by_item() == {
        "a": vector_of("blue shoe").tolist(),
        "b": vector_of("red shoe").tolist(),
    }


def test_another_model_or_size_has_vectors_of_its_own(catalogue, provider):
    catalogue.write(a="red shoe")
    catalogue.embed()
    catalogue.embed(
        vars={"embedding_model": "other", "embedding_models": {"other": {"provider": "openai", "dimensions": 4}}}
    )
    provider.answers[2] = lambda vectors: vectors[:, :2]
    catalogue.embed(model={"dimensions": 2})
    assert len(provider.paid) == 3
    assert catalogue.rows("select embedding_model, dimensions, len(embedding) from ml.embeddings order by all") == [
        ("fake", 2, 2),
        ("fake", 4, 4),
        ("other", 4, 4),
    ]


# --- texts that are too long ---


@pytest.fixture
def short_sighted(provider):
    provider.request_limits = RequestLimits(texts_per_request=2048, tokens_per_text=3)
    return provider


def test_a_too_long_text_is_cut_and_labelled(catalogue, short_sighted):
    catalogue.write(a="one two three", b="one two three four")
    summary = catalogue.embed()
    assert sorted(short_sighted.paid) == ["one two three", "one two three"]
    assert catalogue.by_item()["b"] == vector_of("one two three").tolist()
    assert catalogue.labels() == {"b": ("too_long", "too long: only the first 3 of 4 tokens were embedded")}
    assert (summary["rows_out"], summary["detail"]["failed"]) == (2, 0)
    assert catalogue.embed()["rows_in"] == 0


def test_or_it_is_labelled_and_left_out_until_the_policy_changes(catalogue, short_sighted):
    catalogue.write(a="one two three", b="one two three four")
    summary = catalogue.embed(embedding_too_long="fail")
    assert short_sighted.paid == ["one two three"]
    assert catalogue.labels() == {"b": ("too_long", "too long: 4 tokens, the model reads 3")}
    assert (summary["status"], summary["rows_out"], summary["detail"]["failed"]) == ("done", 1, 1)
    assert catalogue.embed(embedding_too_long="fail")["rows_in"] == 0
    assert catalogue.embed()["rows_in"] == 1
    assert catalogue.by_item()["b"] is not None


# --- money ---


def test_the_request_that_would_pass_the_limit_is_not_made(catalogue, provider):
    catalogue.write(**{f"item-{number}": f"text {number}" for number in range(10)})
    summary = catalogue.embed(
        options=EmbedOptions(max_cost=9e-6), embedding_batch_size=2
    )  # a text has 2 tokens; a million tokens cost $1
    assert len(provider.paid) == 4
    assert summary["cost"] == pytest.approx(8e-6)
    assert summary["status"] == "incomplete"
    assert "$0.000012, over the $9e-06 that --max-cost allows" in summary["detail"]["ended_by"]
    assert catalogue.embed()["rows_out"] == 6


def test_a_limit_that_is_just_enough_is(catalogue, provider):
    catalogue.write(**{f"item-{number}": f"text {number}" for number in range(10)})
    assert catalogue.embed(options=EmbedOptions(max_cost=20e-6), embedding_batch_size=2)["status"] == "done"


def test_nothing_is_bought_where_the_limit_allows_nothing(catalogue, provider):
    catalogue.write(a="red shoe")
    with pytest.raises(NextmartError, match="--max-cost"):
        catalogue.embed(options=EmbedOptions(max_cost=0))
    assert provider.paid == []


def test_a_limit_without_a_price_is_refused(catalogue, provider):
    provider.usd_per_million_tokens = None
    catalogue.write(a="red shoe")
    with pytest.raises(UsageError, match=r'\[vars.embedding_models."fake"\] price'):
        catalogue.embed(options=EmbedOptions(max_cost=1))
    assert provider.paid == []


@pytest.mark.parametrize("size", [1, 3, 10, 99])
def test_the_backlog_is_read_in_portions_in_the_order_of_length(catalogue, size):
    texts = {f"item-{number}": "x" * (1 + 7 * number % 10) for number in range(10)}
    catalogue.write(**texts, again="x")
    wanted = backlog.MissingTextsQuery(EmbeddingModel(name="fake", model="fake", provider="openai", dimensions=4))
    assert backlog.stage_missing_texts(catalogue.connection, wanted) == 10
    read = list(backlog.read_staged_portions(catalogue.connection, size))
    assert [text for rows in read for _, text in rows] == sorted(texts.values(), key=len)
    assert max(map(len, read)) <= size
    assert backlog.count_missing_texts(catalogue.connection, wanted) == (11, 10, 55)


def test_texts_keep_quotes_newlines_and_other_scripts(catalogue, provider):
    texts = {"a": 'it\'s "new"', "b": "two\nlines; drop table x", "c": "Schuhgröße 靴 👟"}
    catalogue.write(**texts)
    catalogue.embed()
    assert sorted(provider.paid) == sorted(texts.values())
