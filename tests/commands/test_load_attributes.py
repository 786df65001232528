"""Attributes: which columns of files are kept beside nextmart's own, of items and of visitors, and what `load` says."""

import json
import sys

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.cli import main
from jobs.dbt_vars import default_vars
from jobs.errors import UsageError
from jobs.loading.attributes import attribute_values_sql, clean_attribute_name, merged_attributes_sql, parse_attributes
from jobs.loading.item_and_visitor_rows import insert_new_rows_sql, latest_row_rules
from jobs.warehouse.connection import connect, prepare_warehouse


class Loader:
    """A folder in which `nextmart load` runs, inside this process."""

    def __init__(self, folder, monkeypatch, capsys):
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code and what the command says."""
        self.monkeypatch.setattr(sys, "argv", ["nextmart", "load", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        output = self.capsys.readouterr()
        return exit_.value.code or 0, output.err + output.out

    def items(self, text: str, *arguments: str) -> str:
        """Load a CSV file of items, which must succeed, and return what the command says."""
        (self.folder / "items.csv").write_text(text, encoding="utf-8")
        code, said = self("--items", "items.csv", *arguments)
        assert code == 0, said
        return said

    def newest(self, table: str = "items") -> dict[str, dict | None]:
        """Return the attributes of each item's, or visitor's, newest raw row."""
        with connect(self.folder / "warehouse.duckdb") as connection:
            rows = connection.execute(
                f"select {table[:-1]}_id, attributes from raw.{table} "
                f"qualify row_number() over (partition by {table[:-1]}_id order by loaded_at desc) = 1"
            ).fetchall()
        return {key: text and json.loads(text) for key, text in rows}

    def rows(self, query: str) -> list[tuple]:
        with connect(self.folder / "warehouse.duckdb") as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def load(tmp_path, monkeypatch, capsys) -> Loader:
    monkeypatch.chdir(tmp_path)
    return Loader(tmp_path, monkeypatch, capsys)


def test_unknown_columns_are_attributes_and_feeds_that_lack_them_keep_them(load):
    said = load.items("item_id,title,Country,margin,size\na,Lamp,DE,0.30,\nb,Mug,,1,XL\n")
    assert "columns   attributes kept: Country, margin, size" in said
    assert load.newest() == {"a": {"Country": "DE", "margin": "0.30"}, "b": {"margin": "1", "size": "XL"}}
    load.items("item_id,title,Country,margin,size\na,Lamp,DE,0.30,\nb,Mug,,1,XL\n")  # known before
    load.items("item_id,available\na,0\nb,1\n")
    load.items("item_id,size,COUNTRY,margin\na,S,DE,\n")  # another order, another spelling; an empty cell clears
    assert load.newest() == {"a": {"Country": "DE", "size": "S"}, "b": {"margin": "1", "size": "XL"}}
    assert load.rows("select item_id, title, available from raw.items order by loaded_at, item_id") == [
        ("a", "Lamp", None), ("b", "Mug", None), ("a", "Lamp", "0"), ("b", "Mug", "1"), ("a", "Lamp", "0"),
    ]  # fmt: skip
    load.items("item_id\na\n", "--complete", "--allow-mass-withdrawal")
    assert load.newest()["b"] == {"margin": "1", "size": "XL"}


def test_the_type_and_what_is_nested_stay_in_parquet_and_json(load):
    values = {
        "count": 3, "margin": 0.25, "vegan": True, "note": "7", "tags": ["x", None, "y"],
        "dims": {"w": 2.5, "unit": "cm"},
        "none": None, "a/b~c": "pointer",
    }  # fmt: skip
    kept = {name: value for name, value in values.items() if value is not None}
    (load.folder / "i.jsonl").write_text(json.dumps({"item_id": "a", **values}), encoding="utf-8")
    assert load("--items", "i.jsonl")[0] == 0
    assert load.newest() == {"a": kept}
    duckdb.sql("copy (from read_json('i.jsonl')) to 'i.parquet'")
    assert load("--items", "i.parquet")[0] == 0
    duckdb.sql(
        "copy (select 'b' as item_id, 'nan'::double as bad, date '2026-01-31' as day, "
        "timestamptz '2026-01-31 10:00:00+00' as at, 1.50::decimal(9, 2) as price_now, "
        "{'w': 3} as dims, 'x'::blob as raw) to 'j.parquet'"
    )
    assert load("--items", "j.parquet")[0] == 0
    assert load.newest() == {
        "a": kept,
        "b": {"at": "2026-01-31 10:00:00+00", "day": "2026-01-31", "dims": {"w": 3}, "price_now": 1.5, "raw": "x"},
    }
    # a nested value replaces the known one as a whole
    (load.folder / "i.jsonl").write_text('{"item_id": "a", "dims": {"h": 1}}', encoding="utf-8")
    assert load("--items", "i.jsonl")[0] == 0
    assert load.newest()["a"]["dims"] == {"h": 1}
    assert len(load.rows("from raw.items")) == 3, "rows that say nothing new are known"


def test_rows_of_orders_are_no_attributes_unless_named(load):
    orders = "sku,customer,event_at,country\na,1,2026-01-01,DE\na,2,2026-01-02,DE\nb,1,2026-01-03,FR\n"
    (load.folder / "orders.csv").write_text(orders, encoding="utf-8")
    maps = ["--map", "item_id=sku"]
    code, said = load("--items", "orders.csv", *maps)
    assert code == 0
    assert (
        "2 columns are no attributes, because rows repeat items: country, customer; "
        "name those that you want: --attributes country,customer"
    ) in said
    assert load.newest() == {"a": None, "b": None}
    both = [*maps, "--events", "orders.csv", "--map", "visitor_id=customer"]
    code, said = load("--items", "orders.csv", *both)
    assert "because the same rows are loaded as events: customer, country;" in said
    code, said = load("--items", "orders.csv", *both, "--attributes", "Country")
    assert "attributes kept: country" in said
    assert "left out: customer" in said
    assert load.newest() == {"a": {"country": "DE"}, "b": {"country": "FR"}}


@pytest.mark.parametrize(
    ("arguments", "attributes"),
    [
        (["--attributes", "none"], None),
        (["--attributes", "all"], {"code": "7", "country": "DE", "maker": "Lux"}),
        (["--attributes", "country, Maker"], {"country": "DE", "maker": "Lux"}),
        (["--map", "brand=maker"], {"code": "7", "country": "DE"}),
        (["--map", "brand=maker", "--attributes", "maker"], {"maker": "Lux"}),
        (["--map", "brand=upper(maker)"], {"code": "7", "country": "DE", "maker": "Lux"}),
    ],
)
def test_the_option_chooses(load, arguments, attributes):
    load.items("item_id,code,country,maker,event_at\na,7,DE,Lux,2026-01-01\n", *arguments)
    assert load.newest() == {"a": attributes}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--items", "i.csv", "--attributes", "contry"], "contry: the files have no such column; did you mean"),
        (["--items", "i.csv", "--attributes", "country,,size"], "names of columns, with commas between them"),
        (["--events", "i.csv", "--attributes", "country"], "--attributes names columns of --items or --visitors"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_refused(load, arguments, words):
    (load.folder / "i.csv").write_text("item_id,country\na,DE\n", encoding="utf-8")
    code, said = load(*arguments)
    assert code == 2
    assert words in said


def test_a_name_may_stand_in_one_of_several_files(load):
    (load.folder / "1.csv").write_text("item_id,country\na,DE\n", encoding="utf-8")
    (load.folder / "2.csv").write_text("item_id,COUNTRY,size\nb,FR,S\n", encoding="utf-8")
    assert load("--items", "1.csv", "--items", "2.csv", "--attributes", "country,size")[0] == 0
    assert load.newest() == {"a": {"country": "DE"}, "b": {"country": "FR", "size": "S"}}


def test_a_column_attributes_with_objects_is_the_whole(load):
    (load.folder / "i.jsonl").write_text(
        '{"item_id": "a", "attributes": {"x": 1}, "y": 2}\n{"item_id": "b", "attributes": "red"}', encoding="utf-8"
    )
    assert load("--items", "i.jsonl")[0] == 0
    assert load.newest() == {"a": {"x": 1, "y": 2}, "b": {"attributes": "red"}}
    load.items('item_id,attributes\na,"{""z"": ""3""}"\n')
    assert load.newest()["a"] == {"z": "3"}


def test_visitors_are_loaded_like_items(load):
    (load.folder / "v.csv").write_text(
        "client,segment,at\n v ,gold,2026-01-02\nw,new,2026-01-01\n,x,\n,y,\n", encoding="utf-8"
    )
    (load.folder / "e.csv").write_text("visitor_id,item_id,event_at\nv,a,2026-01-01\n", encoding="utf-8")
    options = ["--map", "visitors.visitor_id=client", "--map", "updated_at=at"]
    code, said = load("--check", "--visitors", "v.csv", *options)
    assert (code, "visitors: 4 would be loaded of 4 read (0 repeated" in said) == (0, True)
    code, said = load("--visitors", "v.csv", "--events", "e.csv", *options)
    assert code == 0
    assert (
        "visitors: 4 loaded of 4 read (0 repeated, 0 known before)\n  visitors  4; 50.0 % of rows (2) have none" in said
    )
    assert "25.0 % have events" in said
    assert "attributes kept: segment" in said
    newest = load.newest("visitors")
    assert newest.pop(None)["segment"] in ("x", "y")
    assert newest == {" v ": {"segment": "gold"}, "w": {"segment": "new"}}
    (load.folder / "v.csv").write_text("visitor_id,country\nv,DE\n", encoding="utf-8")
    assert "1 loaded of 1 read" in load("--visitors", "v.csv")[1]
    assert "0 loaded of 1 read" in load("--visitors", "v.csv")[1]
    assert load.newest("visitors")["v"] == {"country": "DE", "segment": "gold"}
    (load.folder / "v.csv").write_text("visitor_id,country\nV,DE\n", encoding="utf-8")
    assert "WARN: visitors: none of them has an event" in load("--check", "--visitors", "v.csv")[1]
    # a user's view may be slow, or fail
    with connect(load.folder / "warehouse.duckdb") as connection:
        connection.execute("drop table raw.events; create view raw.events as select error('read') as visitor_id")
    said = load("--check", "--visitors", "v.csv")[1]
    assert ("visitors: 1 would be loaded of 1 read" in said, "event" in said) == (True, False)


def test_an_old_warehouse_gets_the_column(load):
    with connect(load.folder / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)
        connection.execute("alter table raw.items drop column attributes; drop table raw.visitors")
        connection.execute("drop table ml.schema_versions")
        connection.execute("insert into raw.items by name select 'a' as item_id, 'Lamp' as title, now() as loaded_at")
    load.items("item_id,title\na,Lamp\n")
    assert load.newest() == {"a": None}
    load.items("item_id,size\na,S\n")
    assert load.rows("select title, attributes::varchar from raw.items order by loaded_at") == [
        ("Lamp", None), ("Lamp", '{"size":"S"}'),
    ]  # fmt: skip


def test_what_the_option_says():
    assert parse_attributes(None) is None
    assert parse_attributes("none") == ()
    assert parse_attributes(["all"]) == parse_attributes("ALL")
    assert parse_attributes(["a,b", "c"]) == ("a,b", "c")
    with pytest.raises(UsageError):
        parse_attributes("")


@pytest.mark.parametrize(
    ("name", "clean"),
    [("a\tb\n c", "a b c"), ("\ufeffGröße\u200b", "Größe"), ("net\u00a0price\x00", "net price"), ("\x07", "")],
)
def test_control_characters_leave_names(name, clean):
    assert clean_attribute_name(name) == clean


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6)
objects = st.dictionaries(
    names, st.one_of(st.text(max_size=4), st.integers(-9, 9), st.booleans(), st.lists(st.integers(0, 9)))
)


MEMORY = duckdb.connect()


@settings(max_examples=50, deadline=None)
@given(known=objects, feed=objects, cleared=st.sets(names, max_size=3))
def test_merging_is_that_of_dictionaries(known, feed, cleared):
    feed_names = sorted({*feed, *cleared})
    merged, values = MEMORY.execute(
        f"select {merged_attributes_sql('$known::json', '$feed::json', feed_names)}, "
        f"{attribute_values_sql('$feed::json', feed_names)}",
        {"known": json.dumps(known), "feed": json.dumps(feed)},
    ).fetchone()
    assert json.loads(merged or "{}") == {name: value for name, value in known.items() if name not in cleared} | feed
    assert [value and json.loads(value) for value in values] == [feed.get(name) for name in feed_names]


def test_feeds_load_visitors_and_choose_attributes(load):
    (load.folder / "nextmart.toml").write_text(
        '[feeds.items]\nfiles = "orders.csv"\nmap = {item_id = "sku"}\n'
        '[feeds.bought]\nkind = "events"\nfiles = "orders.csv"\nmap = {item_id = "sku", event_at = "at"}\n'
        '[feeds.stock]\nkind = "items"\nfiles = "stock.csv"\nattributes = ["Shelf", "aisle"]\n'
        '[feeds.visitors]\nfiles = "visitors.csv"\n',
        encoding="utf-8",
    )
    (load.folder / "orders.csv").write_text("sku,visitor_id,at,country\na,v,2026-01-01,DE\n", encoding="utf-8")
    (load.folder / "stock.csv").write_text("item_id,shelf,room\na,7,x\n", encoding="utf-8")
    (load.folder / "visitors.csv").write_text("visitor_id,segment\nv,gold\n", encoding="utf-8")
    code, said = load()
    assert code == 0, said
    assert "because the same rows are loaded as events: at, country;" in said
    assert "feed stock: attributes: the new files have no column 'aisle'" in said
    assert load.newest() == {"a": {"shelf": "7"}}
    assert load.newest("visitors") == {"v": {"segment": "gold"}}
    (load.folder / "nextmart.toml").write_text(
        '[feeds.events]\nfiles = "e.csv"\nattributes = "all"\n', encoding="utf-8"
    )
    assert "feed events: attributes: only items and visitors have attributes, not events" in load()[1]


def test_files_that_a_feed_of_events_has_loaded_before_are_known_as_such(load):
    (load.folder / "data").mkdir()
    (load.folder / "data" / "orders.csv").write_text("item_id,visitor_id,event_at,country\na,v,2026-01-01,DE\n")
    toml = load.folder / "nextmart.toml"
    toml.write_text('[feeds.events]\nfiles = "data"\n')
    assert load()[0] == 0
    toml.write_text(toml.read_text() + '[feeds.items]\nfiles = "./data/*.csv"\n')
    assert "because the same rows are loaded as events: country;" in load()[1]
    assert load.newest() == {"a": None}
    # what the feed says of attributes is part of its definition: the file is read again
    toml.write_text(toml.read_text() + 'attributes = ["country"]\n')
    assert "[feeds.items] has changed (attributes)" in load()[1]
    assert load.newest() == {"a": {"country": "DE"}}


def test_a_preset_keeps_no_attributes_unless_they_are_named(load):
    (load.folder / "movies.csv").write_text("movieId,title,genres,studio\n1,Rain,Drama,Lux\n")
    said = load("--items", "movies.csv", "--preset", "movielens")[1]
    assert "1 column is no attribute, because of the preset movielens: studio;" in said
    assert load.newest() == {"1": None}
    load("--items", "movies.csv", "--preset", "movielens", "--attributes", "studio")
    assert load.newest() == {"1": {"studio": "Lux"}}


@pytest.mark.parametrize("table", ["items", "visitors"])
def test_known_rows_are_found_without_comparing_each_row_with_each(table):
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        connection.execute(f"create temp view incoming as select * exclude (loaded_at) from raw.{table}")
        rules = latest_row_rules(table, default_vars())
        sql = insert_new_rows_sql(rules, {f"{table[:-1]}_id", "updated_at"}, ["country"]).replace("$loaded_at", "now()")
        plan = connection.execute(f"explain {sql}").fetchall()[0][1]
    assert "HASH_JOIN" in plan
    assert "NL_JOIN" not in plan
    assert "NESTED_LOOP" not in plan
