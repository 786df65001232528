"""A night over databases that stay where they are: views over Postgres and SQLite, then the published file alone."""

import sqlite3

import duckdb
from shop import Shop

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


def test_a_night_over_attached_databases_is_published_and_its_password_is_nowhere(tmp_path, postgres):
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
    secret = {"SHOP_PASSWORD": postgres.password}
    said = shop.call("run", "--verbose", **secret)
    assert shop.read("select count(distinct item_id) from recommendations.popular_items") == [(12,)]
    assert shop.read("select count(distinct visitor_id) from recommendations.visitor_recommendations") == [(50,)]
    said += shop.call("run", exit_code=1, SHOP_PASSWORD="wrong-s3cret")
    assert "[attach.shop]" in said
    assert "password authentication failed" in said
    shop.call("publish")  # reads copies alone
    said += shop.call("status")  # says that the database is out of reach, and shows the rest
    assert "[attach.shop]: path names the environment variable SHOP_PASSWORD, which is not set" in said
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path.name for path in files if b"s3cret" in path.read_bytes()]
    assert "s3cret" not in said
