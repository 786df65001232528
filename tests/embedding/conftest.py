"""A catalogue in memory, and a service on loopback."""

import duckdb
import pytest
from batch_nights import ALL, FIRST
from catalogue import Catalogue, text_hash
from fake_batches import FakeBatches
from fake_openai import DIMENSIONS, KEY, FakeOpenAI, vector_of
from pytest_httpserver import HTTPServer

from jobs.warehouse.connection import prepare


@pytest.fixture
def catalogue():
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone = 'UTC'")
        prepare(connection)
        yield Catalogue(connection)


@pytest.fixture(scope="session")
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
    fake = FakeOpenAI(server)
    yield fake
    fake.closing.set()
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
