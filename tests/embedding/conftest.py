"""Fixtures: a warehouse in memory, and a fake embedding service on the loopback interface."""

import duckdb
import pytest
from batch_nights import ALL, FIRST
from catalogue import Catalogue, text_hash
from fake_batches import FakeBatches
from fake_openai import DIMENSIONS, KEY, FakeOpenAI, vector_of
from pytest_httpserver import HTTPServer

from jobs.warehouse.connection import prepare_warehouse


@pytest.fixture
def catalogue():
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone = 'UTC'")
        prepare_warehouse(connection)
        yield Catalogue(connection)


@pytest.fixture(scope="session")
def server():
    """One HTTP server for all tests, since stopping a server takes half a second."""
    with HTTPServer("127.0.0.1", threaded=True) as server:
        yield server


@pytest.fixture
def service(server, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url_for("/v1"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # empty, since every run would read all certificates
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
    """A catalogue with one vector already, so that a failing night ends as incomplete instead of raising an error."""
    catalogue.write(**ALL)
    catalogue.connection.execute(
        "insert into ml.embeddings values ('fake', ?, ?, ?, 'ok', null, 3, 'embed-first', now())",
        [DIMENSIONS, text_hash(FIRST["first"]), vector_of(FIRST["first"]).tolist()],
    )
    return catalogue
