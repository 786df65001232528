"""A night on warehouses that earlier versions of nextmart left."""

from pathlib import Path

import duckdb
import pytest
from shop import Shop

EARLIER = Path(__file__).parents[1] / "warehouse" / "earlier_warehouses"
HASHES = "select text_hash, created_at from ml.embeddings order by all"


@pytest.fixture
def earlier_shop(tmp_path):
    def make(name: str) -> Shop:
        shop = Shop(tmp_path)
        (tmp_path / "nextmart.toml").write_text('models = ["popularity", "llmseqsim"]\n')
        with duckdb.connect(str(shop.warehouse)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute((EARLIER / f"{name}.sql").read_text())
        return shop

    return make


def test_a_warehouse_whose_tables_must_be_built_anew_says_so_and_then_is(earlier_shop):
    shop = earlier_shop("first_night")
    vectors = shop.rows(HASHES)
    assert "nextmart maintain" in shop.call("status", exit_code=1)
    assert "nextmart run --full-refresh" in shop.call("run", exit_code=1)
    assert not shop.published.exists()
    shop.call("run", "--full-refresh")
    assert shop.broken_invariants() == {}
    assert shop.rows(HASHES) == vectors
    assert shop.rows("select count(*) from ml.schema_versions where full_refreshed_at is null and version = 4") == [
        (0,)
    ]


def test_a_night_goes_on_where_the_tables_fit(earlier_shop):
    shop = earlier_shop("champions")
    vectors = shop.rows(HASHES)
    told = shop.call("run")
    assert "WARN: events that were built before keep the former reading" in told
    assert shop.broken_invariants() == {}
    assert shop.rows(HASHES) == vectors
    assert shop.rows("select count(*) from catalog.item_history") == [(4,)]
