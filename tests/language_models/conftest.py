"""Fixtures: a warehouse in memory, and a fake fine-tuning service on the loopback interface."""

import duckdb
import pytest
from fake_fine_tuning import BASE, FakeFineTuning
from fake_openai import KEY
from pytest_httpserver import HTTPServer

from jobs.language_models import fine_tuning, openai_model
from jobs.language_models.openai_model import OpenAIModel
from jobs.language_models.paid_services import PaidServices
from jobs.services import retrying_client
from jobs.settings import load_settings
from jobs.warehouse.connection import prepare_warehouse


@pytest.fixture(scope="session")
def prompt_server():
    with HTTPServer("127.0.0.1", threaded=True) as server:
        yield server


@pytest.fixture
def fake(prompt_server, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", prompt_server.url_for("/v1"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # empty, since every client would read all certificates
    monkeypatch.setattr(fine_tuning, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(retrying_client, "PATIENCE", 0.2)
    monkeypatch.setattr(retrying_client, "TIMEOUT", 0.5)
    monkeypatch.setattr(openai_model, "REQUESTS_IN_FLIGHT", 2)
    fake = FakeFineTuning(prompt_server)
    yield fake
    fake.closing.set()
    prompt_server.clear()


@pytest.fixture
def warehouse():
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone = 'UTC'")
        prepare_warehouse(connection)
        yield connection


@pytest.fixture
def make_model(warehouse, fake):
    """A function that makes a new OpenAIModel, as a new process would."""

    def make(connection=None, base=BASE, epochs=2, **settings):
        paid_services = PaidServices(connection or warehouse, load_settings(**{"prompt_max_cost": 5.0, **settings}))
        return OpenAIModel(base, {"epochs": epochs}, paid_services)

    return make
