"""The jobs train, evaluate and recommend with LLMSeqPrompt at a fake service: everything is bought once."""

import re
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fake_fine_tuning import BASE
from fake_openai import KEY

from jobs.core.sequences import Sequences
from jobs.embedding.provider import EmbeddingAnswer, RequestLimits
from jobs.errors import UsageError
from jobs.experiments.evaluation_data import read_evaluation_data
from jobs.experiments.runner import plan_runs, run_all
from jobs.experiments.spec import ExperimentSpec
from jobs.language_models.paid_services import PaidServices
from jobs.models.scorer import recommend
from jobs.nightly.evaluate import evaluate
from jobs.nightly.model_store import load_model, newest_model_by_family
from jobs.nightly.train import train
from jobs.settings import load_settings
from jobs.warehouse.clock import now
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import read_catalog

ITEMS = 6
SCHEMAS = """
    create schema sessions;
    create schema catalog;
    create table sessions.sequences (
        sequence_id varchar, visitor_id varchar, items varchar[], event_times timestamptz[], ended_at timestamptz
    );
    create table catalog.items (item_id varchar, title varchar, category varchar, price double, available boolean);
    create table catalog.item_embeddings (item_id varchar, embedding float[]);
"""


@pytest.fixture
def history(warehouse):
    """A warehouse whose visitors go from each item to the next one, in a circle."""
    warehouse.execute(SCHEMAS)
    for item in range(ITEMS):
        warehouse.execute("insert into catalog.items values (?, ?, '', null, true)", [f"i{item}", f"Item\n“{item}”"])
        vector = np.eye(384)[item].tolist()
        warehouse.execute("insert into catalog.item_embeddings values (?, ?)", [f"i{item}", vector])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for row in range(40):
        times = [start + timedelta(days=row, minutes=step) for step in range(3)]
        items = [f"i{(row + step) % ITEMS}" for step in range(3)]
        warehouse.execute(
            "insert into sessions.sequences values (?, ?, ?, ?, ?)", [f"s{row:02}", f"v{row}", items, times, times[-1]]
        )
    return warehouse


PARAMETERS = {"provider": "openai", "language_model": BASE, "mapping": "none", "samples": 4}


def settings(tmp_path, **changes):
    return load_settings(
        **{
            "models": ["llmseqprompt"],
            "parameters": {"llmseqprompt": PARAMETERS},
            "protocol": "paper",
            "work_folder": tmp_path,
            "prompt_max_cost": 1.0,
            **changes,
        }
    )


def night(job, connection, chosen):
    run = JobRun(job.__name__, job.__name__, now())
    job(connection, chosen, run)
    return run


def test_a_night_trains_measures_and_recommends_and_the_next_one_pays_nothing(history, fake, tmp_path, monkeypatch):
    chosen = settings(tmp_path)
    night(train, history, chosen)
    night(evaluate, history, chosen)
    paid = fake.paid.copy()
    assert set(paid.values()) == {1}
    values = dict(
        history.execute(
            "select metric, value from ml.model_metrics where split = 'paper/test' and segment = 'all' and k = 20"
        ).fetchall()
    )
    assert values["hit_rate"] == 1
    assert values["mrr"] > 0.9, "the service has learnt what comes next"
    assert (values["duplicate_rate"], values["hallucination_rate"], values["invalid_rate"]) == (0.75, 0, 0)
    catalog = read_catalog(history, 384)
    model = load_model(
        PaidServices(history, settings(tmp_path, prompt_max_cost=None)), newest_model_by_family(history)["llmseqprompt"]
    )
    _, items = recommend(model.scorer(catalog), Sequences.from_lists([[0, 1], [3, 4]]), 1)
    assert items.tolist() == [[2], [5]], "asked before: nothing to pay"
    time.sleep(1)  # the name of a model holds the second of its training
    night(train, history, settings(tmp_path, retrain_after_days=0))
    assert fake.paid == paid
    tables = ("ml.models", "ml.fine_tunes", "ml.completions", "ml.model_metrics")
    assert not [table for table in tables if KEY in str(history.execute(f"from {table}").fetchall())]


def trained(connection, chosen):
    """Train two models, one for one epoch and one for two epochs."""
    twice = {"parts": ["llmseqprompt", "popularity"], "parameters": {"llmseqprompt": {**PARAMETERS, "epochs": 2}}}
    parameters = {"llmseqprompt": {**PARAMETERS, "epochs": 1}, "fusion": twice}
    night(train, connection, chosen.model_copy(update={"models": [*parameters], "parameters": parameters}))


def tried(connection, chosen):
    """Compare models of one epoch and of two epochs in an experiment."""
    entry = {"family": "llmseqprompt", "parameters": PARAMETERS, "grid": {"epochs": [1, 2]}}
    what = ExperimentSpec(name="epochs", protocol="paper", models=[entry])
    data = read_evaluation_data(connection, chosen, what.protocol)
    vectors = {variant.label: ("MiniLM", data.catalog.embeddings) for variant in what.variants()}
    for error in run_all(PaidServices(connection, chosen), plan_runs(what, data, vectors), data).values():
        raise UsageError(error)


@pytest.mark.parametrize("job", [trained, tried])
def test_all_models_of_a_job_are_paid_from_one_purse(history, fake, tmp_path, job):
    prices = {BASE: {"training": 100.0, "input": 0.0, "output": 0.0}}
    with pytest.raises(UsageError) as told:
        job(history, settings(tmp_path, prompt_prices=prices, prompt_max_cost=None))
    once = float(re.search(r"1 epochs, .*: at most \$([\d.]+)\. Nothing is bought", str(told.value))[1])
    chosen = settings(
        tmp_path, prompt_prices=prices, prompt_max_cost=2.5 * once
    )  # enough for a model of one epoch or one of two, not for both
    with pytest.raises(UsageError, match=rf"2 epochs, .* after \${once:.4f} in this run.* over prompt_max_cost"):
        job(history, chosen)
    assert len(fake.jobs) == 1
    job(history, chosen)  # the next job may spend the limit again
    assert len(fake.jobs) == 2


class Lengths:
    """A provider whose vectors show the length of a text; it records the texts that it was asked for."""

    request_limits, usd_per_million_tokens, max_requests_in_flight = RequestLimits(texts_per_request=2), 0.02, 1

    def __init__(self):
        self.asked = []

    def count_tokens(self, texts):
        return [1000] * len(texts)

    def truncate_text(self, text, max_tokens):
        return text

    def embed(self, texts):
        self.asked += texts
        vectors = np.zeros((len(texts), 384), np.float32)
        vectors[range(len(texts)), [len(text) for text in texts]] = 2
        return EmbeddingAnswer(vectors, 1000 * len(texts))


def test_made_up_names_get_vectors_of_the_catalogues_model_which_are_kept(warehouse, monkeypatch):
    provider = Lengths()
    monkeypatch.setattr("jobs.language_models.name_vectors.provider_for", lambda settings, model: provider)
    paid_services = PaidServices(warehouse, load_settings(prompt_max_cost=1.0))
    assert {
        name: int(vector.argmax()) for name, vector in paid_services.embed_names(["hat", "shoe", "cap"]).items()
    } == {
        "hat": 3,
        "shoe": 4,
        "cap": 3,
    }
    (norm,) = {float(np.linalg.norm(vector)) for vector in paid_services.embed_names(["shoe", "hat"]).values()}
    assert norm == 1
    assert sorted(provider.asked) == ["cap", "hat", "shoe"], "each once"
    assert warehouse.execute("select count(*), min(status) from ml.embeddings").fetchone() == (3, "ok")


def test_made_up_names_and_answers_are_paid_from_one_purse(warehouse, monkeypatch):
    monkeypatch.setattr("jobs.language_models.name_vectors.provider_for", lambda settings, model: Lengths())
    paid_services = PaidServices(
        warehouse, load_settings(prompt_max_cost=7e-5), spent_usd=1e-5
    )  # embedding a name costs $2e-5
    paid_services.embed_names(["hat", "shoe"])
    assert paid_services.spent_usd == pytest.approx(5e-5)
    paid_services.embed_names(["cap"])
    with pytest.raises(UsageError, match="1 made-up names cost more than prompt_max_cost"):
        paid_services.embed_names(["sock"])
    assert list(paid_services.embed_names(["shoe", "cap"])) == ["shoe", "cap"], "bought before"


def test_what_was_spent_before_the_limit_was_reached_counts_in_the_next_model(warehouse, monkeypatch):
    provider = Lengths()
    provider.request_limits = RequestLimits(texts_per_request=1)
    monkeypatch.setattr("jobs.language_models.name_vectors.provider_for", lambda settings, model: provider)
    paid_services = PaidServices(warehouse, load_settings(prompt_max_cost=3e-5, embedding_batch_size=1))
    for names in (["hat", "shoe"], ["cap", "coat"]):
        with pytest.raises(UsageError, match="2 made-up names cost more than prompt_max_cost"):
            paid_services.embed_names(names)
    assert paid_services.spent_usd == pytest.approx(2e-5)
    assert provider.asked == ["hat"]


def test_made_up_names_cost_nothing_without_a_limit(warehouse, monkeypatch):
    monkeypatch.setattr("jobs.language_models.name_vectors.provider_for", lambda settings, model: Lengths())
    with pytest.raises(UsageError, match="1 made-up names cost more than prompt_max_cost"):
        PaidServices(warehouse, load_settings()).embed_names(["hat"])


@pytest.mark.parametrize("price", [None, 0.0])
def test_made_up_names_are_bought_at_a_known_price_alone(warehouse, monkeypatch, price):
    provider = Lengths()
    provider.usd_per_million_tokens = price
    monkeypatch.setattr("jobs.language_models.name_vectors.provider_for", lambda settings, model: provider)
    paid_services = PaidServices(warehouse, load_settings())
    if price is None:
        with pytest.raises(UsageError, match=r"need a price.* price = …, or set mapping = 'fuzzy' or 'none'"):
            paid_services.embed_names(["hat"])
        assert not provider.asked
    else:  # a price of 0, like that of the local provider
        assert list(paid_services.embed_names(["hat"])) == ["hat"]
