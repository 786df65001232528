"""`nextmart load` from tables of attached databases, and the messages where that can't be."""

import json
import re
import sqlite3
from pathlib import Path

import duckdb
import pytest
from postgres_server import CuttingProxy
from test_load import Shell

from jobs.attached_database_settings import AttachedDatabase
from jobs.errors import NextmartError, UsageError
from jobs.loading.attached_tables import source_databases
from jobs.loading.formats import file_relation
from jobs.loading.sources import LoadSource
from jobs.warehouse import extensions
from jobs.warehouse.attached_databases import attach_databases

CLICKS = '''
    drop schema if exists "my shop" cascade;
    create schema "my shop";
    drop table if exists clicks, products, big;
    create table clicks (
        click_id uuid, visitor numeric, product bigint, kind text, happened_at timestamptz,
        at_local timestamp, login boolean
    );
    insert into clicks values
        ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 12345678901234567890, 42, 'view', '2026-01-31 10:00:06.120+05:30',
            '2026-01-31 04:30:06.120', true),
        ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 7, 43, null, '2026-01-31 10:00:00Z', '2026-01-31 10:00:00', null);
    create table "my shop"."the ""clicks""" as select * from clicks;
    create table products (
        item_id bigint, title text, brand varchar(20), categories text[], tags jsonb, price numeric,
        listed numeric(10, 2), available boolean, updated_at date
    );
    insert into products values
        (42, 'Lamp, "red"', 'B', array['home', 'light, indoor'], '["a", "b"]', 12.50, 12.50, true, '2026-01-31'),
        (43, null, null, null, null, 'NaN', 'NaN', false, null);
'''
EVENT_MAPS = (
    "visitor_id=visitor",
    "events.item_id=product",
    "event_type=kind",
    "event_id=click_id",
    "event_at=happened_at",
)


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module")
def filled_postgres(postgres):
    postgres.execute(CLICKS)
    return postgres


@pytest.fixture(scope="module")
def connection():
    """A connection for many tests: DuckDB's extensions take a moment to load."""
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def shop(shell, filled_postgres, monkeypatch) -> Shell:
    """A folder whose ``[attach.shop]`` is the PostgreSQL server."""
    monkeypatch.setenv("SHOP_PASSWORD", filled_postgres.password)
    attach(shell, shop=("postgres", filled_postgres.text()))
    return shell


def attach(shell: Shell, **databases: tuple[str, str]) -> None:
    """Write nextmart.toml with the type and the path of each database."""
    tables = [
        f"[attach.{name}]\ntype = {json.dumps(kind)}\npath = {json.dumps(path)}\n"
        for name, (kind, path) in databases.items()
    ]
    shell.write("nextmart.toml", "\n".join(tables))


def options(option: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (option, value)]


def sqlite_file(path: Path, script: str) -> str:
    with sqlite3.connect(path) as database:
        database.executescript(script)
    database.close()
    return str(path)


# --- the same rows as from files ---


def test_a_table_of_postgres_gives_the_rows_of_its_csv(shop, filled_postgres):
    for table in ("clicks", "products"):
        shop.write(f"{table}.csv", filled_postgres.execute(f"copy {table} to stdout (format csv, header)"))
    maps = options("--map", (*EVENT_MAPS, "items.price=listed", "brand=price"))
    shop.load("--events", "clicks.csv", "--items", "products.csv", *maps)
    query = "select * exclude (loaded_at) from raw.events order by all"
    item_query = "select * exclude (loaded_at, available, category, attributes) from raw.items order by all"
    from_files = shop.rows(query), shop.rows(item_query)
    assert from_files[0][0][:4] == ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "12345678901234567890", None, "42")
    (shop.folder / "warehouse.duckdb").unlink()
    shop.load("--events", "shop.public.clicks", "--items", "shop.products", *maps)
    assert (shop.rows(query), shop.rows(item_query)) == from_files
    assert shop.rows("select available from raw.items order by item_id") == [("true",), ("false",)]


def test_names_may_be_quoted_lists_are_joined_and_a_time_without_a_zone_is_utc(shop):
    table = 'SHOP."my shop"."the ""clicks"""'
    maps = (*EVENT_MAPS[:-1], "event_at=at_local", "category=categories", "description=tags")
    shop.load("--events", table, "--items", "Shop.PUBLIC.Products", *options("--map", maps))
    assert shop.rows("select event_at from raw.events order by all") == [
        ("2026-01-31 04:30:06.12",),
        ("2026-01-31 10:00:00",),
    ]
    assert shop.rows("select category, description from raw.items order by item_id") == [
        ("home > light, indoor", "a, b"),
        (None, None),
    ]


def test_only_new_rows_are_loaded_and_where_chooses(shop, filled_postgres):
    maps = options("--map", EVENT_MAPS)
    where = ("--where-events", "happened_at >= '2026-01-31 09:00:00+00'")
    assert shop.load("--events", "shop.clicks", *maps, *where)["events"]["loaded"] == 1
    filled_postgres.execute("insert into clicks values (gen_random_uuid(), 8, 42, 'view', '2026-02-01')")
    try:
        counts = shop.load("--events", "shop.clicks", *maps)["events"]
        assert counts == {"read": 3, "repeated": 0, "known": 1, "loaded": 2}
    finally:
        filled_postgres.execute("delete from clicks where visitor = 8")


def test_every_value_of_sqlite_is_the_text_that_it_holds(shell):
    lite = sqlite_file(
        shell.folder / "shop.sqlite",
        """
        create table clicks (visitor_id integer, item_id, event_at timestamp, event_type boolean, note real);
        insert into clicks values
            (1, 1, '2026-01-31 10:00:00', 1, 1), ('abc', 'x', 1793714706123, 'yes', 'text'),
            ('1.50', 2.5, 1.5, null, null);
        """,
    )
    attach(shell, lite=("sqlite", "shop.sqlite"))
    shell.load("--events", "lite.clicks", "--where-events", "note is null or note <> 'nothing'")
    loaded = shell.rows("select visitor_id, item_id, event_at, event_type from raw.events order by all")
    with sqlite3.connect(lite) as database:
        texts = ", ".join(f"cast({name} as text)" for name in ("visitor_id", "item_id", "event_at", "event_type"))
        assert loaded == sorted(database.execute(f"select {texts} from clicks").fetchall(), key=lambda row: row[0])
    database.close()


def test_unknown_columns_of_tables_are_attributes(shell):
    sqlite_file(
        shell.folder / "shop.sqlite",
        """
        create table products (item_id integer, title text, margin real, size);
        insert into products values (1, 'Lamp', 0.25, 'XL'), (2, 'Mug', null, 7);
        create table customers (visitor_id text, vip boolean);
        insert into customers values ('v', 1);
        """,
    )
    attach(shell, lite=("sqlite", "shop.sqlite"))
    shell.write(
        "nextmart.toml",
        (shell.folder / "nextmart.toml").read_text()
        + '[feeds.items]\ntable = "lite.products"\n[feeds.visitors]\ntable = "lite.customers"\n',
    )
    shell("load")
    query = "select item_id, attributes from raw.items union all select visitor_id, attributes from raw.visitors"
    loaded = [
        ("1", '{"margin":"0.25","size":"XL"}'), ("2", '{"size":"7"}'), ("v", '{"vip":"1"}'),
    ]  # fmt: skip
    assert shell.rows(f"{query} order by all") == loaded
    assert shell("load")[0] == 0  # nothing is new
    assert shell.rows(f"{query} order by all") == loaded


def test_attributes_of_postgres_keep_every_digit_and_json_stays_json(shop, filled_postgres):
    filled_postgres.execute(
        "create table stock as select 42 as item_id, 0.12345678901234567890::numeric as margin, "
        "'NaN'::numeric(9, 2) as weight, '{\"w\": [1]}'::jsonb as dims, array['a', 'b'] as tags, 7::bigint as shelf"
    )
    try:
        shop.load("--items", "shop.stock")
    finally:
        filled_postgres.execute("drop table stock")
    [(text,)] = shop.rows("select attributes from raw.items")
    assert json.loads(text) == {
        "dims": {"w": [1]}, "margin": "0.12345678901234567890", "shelf": 7, "tags": ["a", "b"], "weight": "NaN",
    }  # fmt: skip


def test_duckdb_keeps_its_types(shell):
    with duckdb.connect("shop.db") as maker:
        maker.execute("set TimeZone = 'UTC'")
        maker.execute(
            "create table clicks as select 7 as visitor_id, 4.0::double as item_id, "
            "timestamptz '2026-01-31 10:00:00+00' as event_at"
        )
    attach(shell, shop=("duckdb", "shop.db"))
    shell.load("--events", "shop.main.clicks")
    assert shell.rows("select visitor_id, item_id, event_at from raw.events") == [("7", "4", "2026-01-31 10:00:00+00")]


@pytest.mark.parametrize("catalogue", ["duckdb", "postgres"])
def test_a_ducklake_has_its_catalogue_in_a_file_or_a_server(
    filled_postgres, connection, monkeypatch, tmp_path, catalogue
):
    monkeypatch.setenv("SHOP_PASSWORD", filled_postgres.password)
    path, making = f"{tmp_path}/lake.ducklake", f"data_path '{tmp_path}/lake'"
    text = path
    for name in ("ducklake", "postgres_scanner"):
        extensions.load_extension(connection, name)
    if catalogue == "postgres":
        filled_postgres.execute("create database lake")
        path = "postgres:" + filled_postgres.text(database="lake")
        text, making = path.replace(" password=${SHOP_PASSWORD}", ""), making + ", meta_secret 'made'"
        password = filled_postgres.password.replace("'", "''")
        connection.execute(f"create or replace temporary secret made (type postgres, password '{password}')")
    connection.execute(f"attach 'ducklake:{text}' as made ({making})")
    connection.execute("create table made.products as select 'i' || range as item_id from range(20); detach made")
    attach_databases(connection, {"lake": AttachedDatabase(type="ducklake", path=path)})
    relation = file_relation(connection, LoadSource("items", "lake.products"), tmp_path)
    assert connection.execute(f"select count(distinct item_id) from {relation.sql}").fetchall() == [(20,)]
    connection.execute("detach lake")


# --- how a server is named ---


@pytest.mark.parametrize(
    ("path", "variables"),
    [
        ("postgresql://reader:${SHOP_PASSWORD}@127.0.0.1:${SHOP_PORT}/postgres", {}),
        ("${SHOP_TEXT}", {"SHOP_TEXT": "host=127.0.0.1 port={port} dbname=postgres user=reader password={quoted}"}),
        ("host=127.0.0.1 port=${SHOP_PORT} dbname=postgres", {"PGUSER": "reader", "PGPASSWORD": "{password}"}),
    ],
)
def test_a_server_is_named_by_a_uri_a_text_or_variables(filled_postgres, connection, monkeypatch, path, variables):
    password = filled_postgres.password
    escaped = password.replace("\\", "\\\\").replace("'", "\\'")
    monkeypatch.setenv("SHOP_PORT", str(filled_postgres.port))
    monkeypatch.setenv("SHOP_PASSWORD", password)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(port=filled_postgres.port, password=password, quoted=f"'{escaped}'"))
    attach_databases(connection, {"named": AttachedDatabase(type="postgres", path=path)})
    assert connection.execute("select count(*) from named.products").fetchall() == [(2,)]
    known = connection.execute(
        "select path from duckdb_databases() union all select secret_string from duckdb_secrets()"
    )
    assert "s3cret" not in str(known.fetchall())
    connection.execute("detach named")


# --- what can't be ---


def test_a_wrong_password_is_said_and_not_shown(shop, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "wrong-password")
    code, said = shop("load", "--items", "shop.products")
    assert code == 1
    assert "[attach.shop]: can't attach the postgres database, whose path is 'host=127.0.0.1 port=" in said
    assert "password authentication failed" in said
    assert "wrong-password" not in said


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("shop.public.product", "no table 'public.product' (shop.public.product); did you mean 'shop.public.products'"),
        ("shop.clickss", "did you mean 'shop.public.clicks'"),
        ("shop.zzz", 'it has: my shop.the "clicks", public.clicks, public.products'),
    ],
)
def test_a_missing_table_is_named_with_the_nearest(filled_postgres, connection, monkeypatch, tmp_path, table, says):
    monkeypatch.setenv("SHOP_PASSWORD", filled_postgres.password)
    attach_databases(connection, {"shop": AttachedDatabase(type="postgres", path=filled_postgres.text())})
    with pytest.raises(NextmartError) as error:
        file_relation(connection, LoadSource("items", table), tmp_path)
    assert str(error.value).startswith("[attach.shop] has no table")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("shpo.public.products", "no database [attach.shpo] in nextmart.toml; did you mean 'shop'?"),
        ("other.public.products", "no database [attach.other] in nextmart.toml; attached: shop, lite"),
        ('"shpo".products', "no database [attach.shpo]"),
    ],
)
def test_a_database_that_is_not_attached_is_named_with_the_nearest(path, says):
    with pytest.raises(UsageError) as error:
        source_databases(["shop", "lite"], [path])
    assert says in str(error.value)


@pytest.mark.parametrize("path", ["events.csv", "shop.2026.csv", "s3://a.b/c.parquet", "data/*.csv", "a b.c", "shop"])
def test_a_file_is_no_table(path):
    assert source_databases(["shop2", "lite"], [path]) == set()


def test_a_name_that_is_a_file_too_is_refused_with_both_ways_out(shop):
    shop.write("shop.products", "item_id\n5\n")
    code, said = shop("load", "--items", "shop.products")
    assert (code, "./shop.products is the file" in said) == (2, True)
    assert source_databases(["shop"], ["./shop.products"]) == set()
    assert shop.load("--items", '"shop".products')["items"]["loaded"] == 2


def test_a_server_that_dies_loses_nothing(shop, filled_postgres):
    filled_postgres.execute(
        "create table big as select i as event_id, i % 100 as visitor_id, i % 7 as item_id, "
        "timestamp '2026-01-01' + i * interval '1 second' as event_at from generate_series(1, 20000) as rows(i)"
    )
    proxy = CuttingProxy(filled_postgres.port, after=100_000)
    try:
        attach(shop, shop=("postgres", filled_postgres.text(port=proxy.port)))
        code, said = shop("load", "--events", "shop.big")
        assert code == 1
        assert "can't read shop.big of [attach.shop]" in said
        assert filled_postgres.password not in said
        assert shop.rows("select count(*) from raw.events") == [(0,)]
    finally:
        proxy.close()
    attach(shop, shop=("postgres", filled_postgres.text()))
    assert shop.load("--events", "shop.big")["events"]["loaded"] == 20_000


def test_a_load_of_files_needs_no_database(shell):
    attach(shell, shop=("postgres", "host=127.0.0.1 port=1"))
    shell.load("--items", shell.write("items.csv", "item_id\n1\n"))
    assert shell("status")[0] == 0


def test_commands_that_can_go_on_without_a_database_do(shell):
    with duckdb.connect("shop.db") as maker:
        maker.execute("create table clicks as select 'e' as event_id, current_timestamp as loaded_at")
    with duckdb.connect("warehouse.duckdb") as warehouse:
        warehouse.execute("attach 'shop.db' as shop; create schema raw")
        warehouse.execute("create view raw.events as select * from shop.clicks")
    attach(shell, shop=("duckdb", "shop.db"))
    shell("publish")  # makes the tables of nextmart's own
    assert re.search("raw events +1\n", shell("status")[1])
    Path("shop.db").unlink()
    code, said = shell("status")
    assert (code, "WARN: [attach.shop]: there is no file" in said) == (0, True)
    assert "there are no recommendation tables yet" in shell("publish")[1]
    code, said = shell("train")
    assert (code, "[attach.shop]: there is no file" in said) == (2, True)
