"""The build of `nextmart run`, in a process of its own, over databases that stay where they are."""

import sqlite3

import duckdb
from shop import Shop

from jobs.orchestration.dbt_build import run_dbt_build
from jobs.settings import load_settings
from jobs.warehouse.extensions import load_extension

CLICKS = """
    drop table if exists night_clicks;
    create table night_clicks as
    select
        i as id, i / 6 as visitor, (i * 7) % 12 as product, timestamp '2026-03-01' + i * interval '3 minutes' as at_time
    from generate_series(0, 299) as rows(i)
"""
VIEWS = """
    create schema raw;
    create view raw.events as
    select
        id::varchar as event_id, visitor::varchar as visitor_id, product::varchar as item_id, 'view' as event_type,
        at_time::varchar as event_at, at_time::timestamptz as loaded_at
    from shop.public.night_clicks;
    create view raw.items as
    select id::varchar as item_id, timestamptz '2026-01-01 00:00:00+00' as loaded_at from lite.products;
"""


def test_dbt_reads_views_over_two_databases_and_the_password_is_nowhere(tmp_path, postgres, monkeypatch, capsys):
    shop = Shop(tmp_path)
    postgres.execute(CLICKS)
    with sqlite3.connect(tmp_path / "shop.sqlite") as lite:
        lite.execute("create table products (id integer)")
        lite.executemany("insert into products values (?)", [(number,) for number in range(12)])
    lite.close()
    (tmp_path / "nextmart.toml").write_text(
        'models = ["popularity"]\n[attach.lite]\ntype = "sqlite"\npath = "shop.sqlite"\n'
        f'[attach.shop]\ntype = "postgres"\npath = "{postgres.text()}"\n'
    )
    with duckdb.connect(str(shop.warehouse)) as maker:
        for name in ("sqlite_scanner", "postgres_scanner"):
            load_extension(maker, name)
        password = postgres.password.replace("'", "''")
        maker.execute(f"create temporary secret shop (type postgres, password '{password}')")
        text = postgres.text().replace(" password=${SHOP_PASSWORD}", "")
        maker.execute(f"attach '{text}' as shop (type postgres, secret shop)")
        maker.execute(
            "attach 'shop.sqlite' as lite (type sqlite)".replace("shop.sqlite", str(tmp_path / "shop.sqlite"))
        )
        maker.execute(VIEWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_PASSWORD", postgres.password)
    monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "debug")
    run_dbt_build(
        load_settings(), ("--select", "stg_items", "+int_events_checked", "--resource-type", "model"), verbose=True
    )
    assert shop.rows("select count(*) from staging.checked_events") == [(300,)]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"dbt.log", "manifest.json", "run_results.json", "warehouse.duckdb"} <= {path.name for path in files}
    assert not [path.name for path in files if b"s3cret" in path.read_bytes()]
    said = capsys.readouterr()
    assert "checked_events" in said.err
    assert "s3cret" not in said.err + said.out
