"""Views of ``raw`` over an attached database, made by the SQL of docs/loading.md, read by dbt's models."""

import re
import sqlite3
from pathlib import Path

import duckdb
from harness import Warehouse

from jobs.publishing.publish import publish
from jobs.settings import Settings
from jobs.warehouse.connection import connect
from jobs.warehouse.extensions import load_extension
from jobs.warehouse.job_runs import job_run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "loading.md"
SHOP = """
    create table clicks (id integer, client text, product integer, happened_at timestamp);
    insert into clicks values (1, 'a', 7, '2026-01-01 10:00:00'), (2, 'a', 8, '2026-01-01 10:01:00'),
        (3, 'b', 7, '2026-01-02 10:00:00');
    create table products (id integer, name text, price decimal(10, 2), changed_at timestamp);
    insert into products values (7, 'Lamp', 9.95, '2026-01-01 00:00:00'), (8, 'Desk', null, '2026-01-01 00:00:00');
"""


def test_a_night_over_views_of_a_database_that_nextmart_toml_attaches_is_published(tmp_path, dbt_project, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    settings, sql = (
        re.search(rf"```{language}\n([^`]*{containing}[^`]*)```", text)[1]
        for language, containing in (("toml", r"\[attach\.lite\]"), ("sql", "create view raw.events"))
    )
    with sqlite3.connect(tmp_path / "shop.sqlite") as shop:
        shop.executescript(SHOP)
    shop.close()
    (tmp_path / "nextmart.toml").write_text('models = ["popularity"]\n' + settings[settings.index("[attach.lite]") :])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))  # as a shell sets it; dbt changes to the folder of its project
    with duckdb.connect("warehouse.duckdb") as connection:
        load_extension(connection, "sqlite_scanner")  # DuckDB's own shell does so by itself
        connection.execute(sql)
    warehouse = Warehouse(tmp_path / "warehouse.duckdb", dbt_project)
    warehouse.run(
        "--exclude",
        "outcomes",
        "uplift",
        "offline_estimates",
        select="staging intermediate sessions together catalog recommendations",
    )
    assert warehouse.rows(
        "staging.checked_events", ["event_id", "visitor_id", "item_id", "event_at", "reject_reason"]
    ) == [
        ("1", "a", "7", "2026-01-01 10:00:00+00", None),
        ("2", "a", "8", "2026-01-01 10:01:00+00", None),
        ("3", "b", "7", "2026-01-02 10:00:00+00", None),
    ]
    assert warehouse.rows("staging.stg_items", ["item_id", "attributes"]) == [("7", None), ("8", None)]
    assert warehouse.rows("sessions.sessions", ["count(*)"]) == [("2",)]
    (tmp_path / "shop.sqlite").unlink()  # what is published needs no database, neither to be written nor to be read
    with connect(warehouse.path) as connection, job_run(connection, "publish") as run_record:
        publish(connection, Settings(published=tmp_path / "published.duckdb"), run_record)
    with duckdb.connect("published.duckdb", read_only=True) as reader:
        popular = reader.execute("select item_id, title from recommendations.popular_items order by rank").fetchall()
    assert popular == [("7", "Lamp"), ("8", "Desk")]
