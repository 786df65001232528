"""A catalogue in memory, and a service on loopback."""

import duckdb
import pytest
from catalogue import Catalogue
from fake_openai import KEY, FakeOpenAI
from pytest_httpserver import HTTPServer

from jobs.warehouse import prepare


@pytest.fixture
def catalogue():
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone = 'UTC'")
        prepare(connection)
        yield Catalogue(connection)


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    with HTTPServer("127.0.0.1", threaded=True) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url_for("/v1"))
        fake = FakeOpenAI(server)
        yield fake
        fake.closing.set()
