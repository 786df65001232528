"""`nextmart load` from tables of a MariaDB server, which DuckDB's extension for MySQL reads."""

import json

import pytest
from test_load import Shell

FILL = (
    "create table clicks (click_id char(36), visitor bigint unsigned, product int, kind enum('view', 'purchase'), "
    "happened_at timestamp(3) null, at_local datetime(6))",
    "insert into clicks values ('c1', 12345678901234567890, 42, 'view', '2026-01-31 04:30:06.120', "
    "'2026-01-31 09:30:00'), ('c2', 7, 43, null, '2026-01-31 10:00:00', null)",
    "create table products (item_id int, title text character set utf8mb4, price decimal(10, 2), "
    "available tinyint(1), stars tinyint(1), tags json, updated_at date)",
    """insert into products values (42, 'Lamp, "red" 🧀', 12.50, 1, 5, '["a", "b"]', '2026-01-31'),
        (43, null, null, 0, null, null, '2026-00-00')""",
    "create database `my shop`",
    "create view `my shop`.`the clicks` as select * from clicks where kind = 'view'",
)  # fmt: skip
MAPS = [
    word for each in ("visitor_id=visitor", "events.item_id=product", "event_type=kind", "event_id=click_id")
    for word in ("--map", each)
]  # fmt: skip


@pytest.fixture(scope="module")
def filled_mariadb(mariadb):
    mariadb.execute(*FILL)
    return mariadb


@pytest.fixture
def shop(tmp_path, monkeypatch, capsys, filled_mariadb) -> Shell:
    """A folder whose ``[attach.shop]`` is the server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_PASSWORD", filled_mariadb.password)
    shell = Shell(tmp_path, monkeypatch, capsys)
    shell.write("nextmart.toml", f'[attach.shop]\ntype = "mysql"\npath = {json.dumps(filled_mariadb.text())}\n')
    return shell


def test_a_timestamp_is_an_instant_whatever_the_servers_zone_and_a_large_id_stays_whole(shop):
    shop.load("--events", "shop.clicks", *MAPS, "--map", "event_at=happened_at")
    assert shop.rows("select visitor_id, item_id, event_type, event_at from raw.events order by event_id") == [
        ("12345678901234567890", "42", "view", "2026-01-31 04:30:06.12"),
        ("7", "43", None, "2026-01-31 10:00:00"),
    ]


def test_a_time_without_a_zone_is_taken_as_it_is(shop):
    shop.load("--events", 'shop."my shop"."the clicks"', *MAPS, "--map", "event_at=at_local")
    assert shop.rows("select event_id, event_at from raw.events") == [("c1", "2026-01-31 09:30:00")]


def test_small_numbers_stay_numbers_and_a_date_without_a_day_is_null(shop):
    shop.load("--items", "shop.shop.products", "--map", "description=tags", "--attributes", "stars")
    columns = "item_id, title, description, price, available, updated_at, attributes"
    assert shop.rows(f"select {columns} from raw.items order by item_id") == [
        ("42", 'Lamp, "red" 🧀', '["a", "b"]', "12.50", "1", "2026-01-31", '{"stars":5}'),
        ("43", None, None, None, "0", None, None),
    ]


def test_a_wrong_password_is_refused_and_not_shown(shop, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "hunter22long")
    code, said = shop("load", "--events", "shop.clicks", *MAPS, "--map", "event_at=happened_at")
    assert code == 1
    assert "[attach.shop]: can't attach the mysql database" in said
    assert "Access denied for user 'reader'" in said
    assert "hunter22long" not in said
