"""`nextmart load`: what of people's files becomes which raw rows, and what is said about the rows."""

import re
import tomllib
from pathlib import Path

import duckdb
import pytest
from test_load import Shell

from jobs.dbt_vars import default_vars
from jobs.errors import NextmartError, UsageError
from jobs.files import project_folder
from jobs.loading.expression_checks import require_one_expression
from jobs.warehouse.connection import prepare_warehouse
from jobs.warehouse.dbt_macros import dbt_model_sql


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


def staged(shell, columns: str) -> list[tuple]:
    """Read the catalogue as dbt's staging reads it."""
    with duckdb.connect(str(shell.folder / "warehouse.duckdb")) as connection:
        connection.execute("set TimeZone = 'UTC'")
        prepare_warehouse(connection)
        query = dbt_model_sql("staging/stg_items.sql", default_vars())
        return connection.execute(f"select {columns} from ({query}) order by item_id").fetchall()


def parquet(shell, name: str, query: str) -> str:
    duckdb.sql(f"copy ({query}) to '{shell.folder / name}' (format parquet)")
    return name


def said_by_load(shell, *arguments: str) -> str:
    code, said = shell("load", *arguments)
    assert code == 0, said
    return said


# --- feeds that lack columns ---

CATALOGUE = "item_id,title,brand,category,description,price,available,updated_at\n"


def test_a_column_that_a_feed_lacks_keeps_its_value_and_an_empty_one_is_cleared(shell):
    shell.load("--items", shell.write("full.csv", "item_id,title,brand,price\na,Lamp,Lux,9\nb,Mug,,3\n"))
    stock = shell.write("stock.csv", "item_id,available\na,0\nb,1\nnew,1\n")
    assert shell.load("--items", stock)["items"]["loaded"] == 3
    assert shell.load("--items", stock)["items"] == {"read": 3, "repeated": 0, "known": 3, "loaded": 0}
    assert shell.rows("select item_id, title, brand, price, available from raw.items order by loaded_at, item_id") == [
        ("a", "Lamp", "Lux", "9", None), ("b", "Mug", None, "3", None),
        ("a", "Lamp", "Lux", "9", "0"), ("b", "Mug", None, "3", "1"), ("new", None, None, None, "1"),
    ]  # fmt: skip
    shell.load("--items", shell.write("brands.csv", "item_id,brand\na,\n"))
    assert staged(shell, "title, brand, price, available")[0] == ("Lamp", None, 9, False)


@pytest.mark.parametrize("row", ["a,0,", "a,0,2026-02-01", "a,0,1769904000", "a,0,2099-01-01"])
def test_the_known_value_is_that_of_the_row_that_staging_takes(shell, row):
    shell.load("--items", shell.write("1.csv", "item_id,title,updated_at\na,New,2026-01-31\n"))
    shell.load("--items", shell.write("2.csv", "item_id,title,updated_at\na,Old,2026-01-01\n"))
    stock = shell.write("stock.csv", f"item_id,available,updated_at\n{row}\n")
    assert [shell.load("--items", stock)["items"]["loaded"] for _ in range(2)] == [1, 0]
    assert staged(shell, "title, available") == [("New", False)]


def test_an_old_dated_row_of_a_partial_feed_changes_nothing_however_the_rest_changes(shell):
    shell.load("--items", shell.write("1.csv", "item_id,title\na,Lamp\n"))
    stock = shell.write("stock.csv", "item_id,available,updated_at\na,0,2026-01-01\n")
    shell.load("--items", stock)
    shell.load("--items", shell.write("2.csv", "item_id,title,available\na,Desk lamp,1\n"))
    assert shell.load("--items", stock)["items"]["loaded"] == 0
    assert staged(shell, "title, available") == [("Desk lamp", True)]


def test_a_later_dated_row_counts_although_an_undated_feed_came_between(shell):
    for content in ("item_id,title,updated_at\na,Lamp,2026-01-01", "item_id,available\na,0"):
        shell.load("--items", shell.write("1.csv", content + "\n"))
    shell.load("--items", shell.write("1.csv", "item_id,title,updated_at\na,Desk lamp,2026-01-02\n"))
    assert staged(shell, "title, available") == [("Desk lamp", False)]


def test_a_row_older_than_an_undated_row_of_its_item_changes_nothing_and_the_load_says_so(shell, capsys):
    said = "1 row changes nothing, such as that of 'a'"
    shell.load("--items", shell.write("stock.csv", "item_id,available\na,1\n"))
    shell.write("all.csv", "item_id,title,updated_at\na,Lamp,2026-01-01\nb,Desk,2026-01-01\n")
    capsys.readouterr()
    assert said in shell("load", "--items", "all.csv")[1]
    assert staged(shell, "title, available") == [(None, True), ("Desk", True)]
    assert said not in shell("load", "--items", "all.csv")[1]
    assert said not in shell("load", "--items", "all.csv", "--map", "updated_at=null")[1]  # as the warning advises
    assert staged(shell, "title, available") == [("Lamp", True), ("Desk", True)]


@pytest.mark.parametrize(("table", "id_column"), [("items", "item_id"), ("visitors", "visitor_id")])
def test_spellings_of_one_id_are_one_and_rows_without_an_id_all_stay(shell, table, id_column):
    rows = '"x ",1\nx,2\n,3\n,4\n,4\n-,5\nNULL,6\n'
    file = shell.write("1.csv", f"{id_column},size\n{rows}")
    arguments = (f"--{table}", file, "--attributes", "size")
    counts = [shell.load(*arguments)[table] for _ in range(3)]
    assert counts == [{"read": 7, "repeated": 2, "known": 5 * (n > 0), "loaded": 5 * (n == 0)} for n in range(3)]
    without_id = f"select attributes ->> 'size' from raw.{table} where trim({id_column}) <> 'x' or {id_column} is null"
    assert sorted(size for (size,) in shell.rows(without_id)) == ["3", "4", "5", "6"]


def test_a_row_without_an_id_gets_no_value_of_another_row_without_one(shell):
    shell.load("--items", shell.write("1.csv", "item_id,title\n,Lamp\n"))
    shell.load("--items", shell.write("2.csv", "item_id,price\n,5\n"))
    assert shell.rows("select title, price from raw.items order by loaded_at") == [("Lamp", None), (None, "5")]


def test_many_rows_of_an_item_in_a_partial_feed_give_its_latest_with_the_known_rest(shell):
    shell.load("--items", shell.write("1.csv", "item_id,title,price\n a ,Lamp,1\n"))
    rows = "a,3,2026-01-03\na,2,2026-01-02\nb,5,2026-01-02\n"
    shell.load("--items", shell.write("2.csv", "item_id,price,updated_at\n" + rows))
    loaded = shell.rows("select item_id, title, price from raw.items where updated_at is not null order by all")
    assert loaded == [("a", "Lamp", "3"), ("b", None, "5")]


@pytest.mark.parametrize(
    ("first", "second"),
    [("9", "10"), ("10", "9"), ("1e3", "999"), ("free", "10"), ("free", "gratis"), ("1,299.00", "1300")],
)
def test_of_rows_of_one_time_the_known_one_is_that_of_staging(shell, first, second):
    rows = "".join(f'a,Lamp,{"B" if price == first else "A"},"{price}",2026-01-01\n' for price in (first, second))
    shell.write("1.csv", "item_id,title,description,price,updated_at\n" + rows)
    shell.rows("select 1")  # makes the warehouse
    with duckdb.connect(str(shell.folder / "warehouse.duckdb")) as connection:
        prepare_warehouse(connection)
        connection.execute(
            "insert into raw.items by name select *, timestamptz '2026-01-02 00:00:00+00' as loaded_at "
            "from read_csv('1.csv', all_varchar = true)"
        )
    before = staged(shell, "price, unread_price")
    shell.load("--items", shell.write("stock.csv", "item_id,available\na,0\n"))
    assert staged(shell, "price, unread_price") == before


# --- complete feeds ---


def test_what_a_complete_feed_lacks_is_withdrawn_and_comes_back(shell):
    listed = "".join(f"i{n},T{n}\n" for n in range(9))
    shell.load("--items", shell.write("all.csv", "item_id,title\na,Lamp\n" + listed), "--complete")
    counts = shell.load("--items", shell.write("less.csv", "item_id,title\n" + listed), "--complete")
    assert counts["items"] == {"read": 9, "repeated": 0, "known": 9, "loaded": 0, "withdrawn": 1}
    assert staged(shell, "item_id, title, available")[0] == ("a", "Lamp", False)
    assert shell.load("--items", "less.csv", "--complete")["items"]["withdrawn"] == 0
    assert shell.load("--items", "all.csv", "--complete")["items"] == {
        "read": 10, "repeated": 0, "known": 9, "loaded": 1, "withdrawn": 0,
    }  # fmt: skip
    assert staged(shell, "item_id, title, available")[0] == ("a", "Lamp", True)
    assert shell.load("--items", "all.csv", "--complete")["items"]["loaded"] == 0
    assert shell.rows("select available from raw.items where item_id = 'a' order by loaded_at") == [
        (None,), ("false",), (None,),
    ]  # fmt: skip


@pytest.mark.parametrize("feed", ["item_id,title,updated_at\n{}a,Lamp,2026-01-01\n", "item_id,available\n{}a,1\n"])
def test_a_withdrawn_item_comes_back_with_its_old_date_and_by_a_stock_feed(shell, feed):
    dated = "item_id,title,updated_at,available\nb,Mug,2026-01-01,1\n"
    shell.load("--items", shell.write("1.csv", dated + "a,Lamp,2026-01-01,1\n"))
    shell.load("--items", shell.write("2.csv", dated), "--complete", "--allow-mass-withdrawal")
    assert staged(shell, "item_id, available") == [("a", False), ("b", True)]
    shell.load("--items", shell.write("3.csv", feed.format("")))
    assert staged(shell, "item_id, title, available") == [("a", "Lamp", True), ("b", "Mug", True)]


def test_an_item_that_the_stock_feed_withdrew_stays_so_in_a_complete_feed_without_availability(shell):
    shell.load("--items", shell.write("stock.csv", "item_id,available\na,0\n"))
    shell.load("--items", shell.write("all.csv", "item_id,title\na,Lamp\n"), "--complete")
    assert staged(shell, "title, available") == [("Lamp", False)]


def test_a_feed_that_says_unavailable_of_a_withdrawn_item_holds(shell):
    shell.load("--items", shell.write("1.csv", "item_id,title\na,Lamp\nb,Mug\n"))
    shell.load("--items", shell.write("2.csv", "item_id\nb\n"), "--complete", "--allow-mass-withdrawal")
    shell.load("--items", shell.write("stock.csv", "item_id,available\na,false\n"))
    shell.load("--items", "1.csv", "--complete")
    assert staged(shell, "item_id, available") == [("a", False), ("b", True)]


def test_a_complete_feed_that_lacks_many_items_stops_the_load(shell):
    shell.load("--items", shell.write("all.csv", "item_id\n" + "".join(f"i{n}\n" for n in range(10))))
    half = shell.write("half.csv", "item_id\nnew\n" + "".join(f"i{n}\n" for n in range(4)))
    code, said = shell("load", "--items", half, "--complete")
    assert code == 1
    assert "lacks 6 of the 10 items that are available (60.0%): i4, i5, i6, i7, i8, …" in said
    assert "--allow-mass-withdrawal" in said
    assert shell.rows("select count(*) from raw.items") == [(10,)]
    shell.monkeypatch.setenv("NEXTMART_MAX_WITHDRAWN_SHARE", "0.6")
    assert shell.load("--items", half, "--complete")["items"]["withdrawn"] == 6
    assert shell("load", "--events", half, "--complete")[0] == 2


def test_a_complete_feed_with_rows_that_are_unreadable_or_without_id_withdraws_nothing(shell):
    listed = [f"i{n},T{n}" for n in range(9)]
    shell.load("--items", shell.write("all.csv", "\n".join(["item_id,title", "a,Lamp", *listed])), "--complete")
    shell.monkeypatch.setenv("NEXTMART_MAX_UNREADABLE_SHARE", "0.2")
    broken = shell.write("broken.csv", "\n".join(["item_id,title", "a,Lamp,9", *listed]))
    for check in ([], ["--check"]):
        said = said_by_load(shell, "--items", broken, "--complete", *check)
        assert "none of the 1 items that the complete feed lacks is withdrawn, because rows of the feed" in said
        assert "1 can't be read, and 0 have no item_id" in said
    assert staged(shell, "available")[0] == (True,)
    without_id = shell.write("without_id.csv", "\n".join(["item_id,title", "null,Lamp", *listed]))
    assert "0 can't be read, and 1 have no item_id" in said_by_load(shell, "--items", without_id, "--complete")
    assert staged(shell, "available")[0] == (True,)
    assert shell.load("--items", shell.write("less.csv", "\n".join(["item_id,title", *listed])), "--complete")[
        "items"
    ] == {"read": 9, "repeated": 0, "known": 9, "loaded": 0, "withdrawn": 1}
    # a feed that lacks nothing needs no word
    assert "withdrawn, because" not in said_by_load(
        shell,
        "--items",
        shell.write("b.csv", "item_id\n" + "\n".join([*(line.split(",")[0] for line in listed), "x,y"])),
        "--complete",
    )


def test_several_files_are_loaded_and_are_one_complete_feed(shell):
    for name in "ab":
        shell.write(f"i_{name}.csv", f"item_id,title\n{name},T\n")
        shell.write(f"e_{name}.csv", f"visitor_id,item_id,event_at\nv,{name},2026-01-01\nv,{name},2026-01-01\n")
    files = ["--items", "i_a.csv", "--items", "i_b.csv", "--events", "e_a.csv", "--events", "e_b.csv"]
    detail = shell.load(*files, "--complete")
    assert detail["events"] == {"read": 4, "repeated": 2, "known": 0, "loaded": 2}
    assert detail["items"] == {"read": 2, "repeated": 0, "known": 0, "loaded": 2, "withdrawn": 0}
    assert [(part["file"], part["loaded"]) for part in detail["files"]] == [
        ("i_a.csv", 1), ("i_b.csv", 1), ("e_a.csv", 1), ("e_b.csv", 1),
    ]  # fmt: skip
    assert "e_b.csv: 0 loaded of 2 read (1 repeated, 1 known before)\n" in said_by_load(shell, *files)


# --- values ---


@pytest.mark.parametrize(
    ("value", "loaded"),
    [
        ("4.0::double", "4"), ("-4.0::float", "-4"), ("-0.0::double", "0"), ("4.5::double", "4.5"),
        ("1e20::double", "100000000000000000000"), ("'nan'::double", None), ("'inf'::double", "inf"),
        ("4.00::decimal(18, 2)", "4"), ("4.20::decimal(18, 2)", "4.20"), ("4::decimal(18, 0)", "4"), ("4", "4"),
        ("'4.0'", "4.0"),
    ],
)  # fmt: skip
def test_whole_decimal_ids_lose_their_point(shell, value, loaded):
    file = parquet(shell, "e.parquet", f"select {value} as v, 'i' as item_id, '2026-01-01' as event_at")
    said = said_by_load(shell, "--events", file, "--map", "visitor_id=v")
    assert shell.rows("select visitor_id from raw.events") == [(loaded,)]
    is_decimal = re.search("double|float|2\\)", value) and loaded is not None
    assert said.count("are loaded without '.0'") == bool(is_decimal)


def test_decimal_ids_are_the_same_in_events_and_items_and_too_long_ones_are_said(shell):
    file = parquet(
        shell,
        "e.parquet",
        "select '4' as visitor_id, unnest([7, 1234567890123456789]::double[]) as item_id, 0 as event_at",
    )
    said = said_by_load(shell, "--events", file, "--items", file)
    assert set(shell.rows("select item_id from raw.events")) == set(shell.rows("select item_id from raw.items"))
    assert said.count("item_id: 1 ids are too long for the file's floating-point numbers") == 2


def test_lists_are_joined(shell):
    lists = "['home', null, 'lamps'] as category, ['Big', 'lamp'] as title, ['Lux']::varchar[1] as brand"
    file = parquet(shell, "i.parquet", f"select 'a' as item_id, {lists} union all select 'b', [], null, [null]")
    shell.load("--items", file)
    assert shell.rows("select category, title, brand from raw.items order by item_id") == [
        ("home > lamps", "Big, lamp", "Lux"), (None, None, None),
    ]  # fmt: skip
    rows = [{"item_id": "c", "category": [["x", "y"], ["z"]]}, {"item_id": "d", "category": "plain, text"}]
    for row, joined in zip(rows, ["x > y > z", "plain, text"], strict=True):
        shell.load("--items", shell.write("i.jsonl", [row]))
        assert shell.rows(f"select category from raw.items where item_id = '{row['item_id']}'") == [(joined,)]
    shell.load("--items", shell.write("m.jsonl", [{"item_id": "e", "category": ["p", "q"]}, rows[1]]))
    assert shell.rows("select category from raw.items where item_id = 'e'") == [("p > q",)]


# --- expressions ---


def example_expressions():
    for file in sorted((Path(project_folder("dbt_project")).parent / "examples").glob("*/nextmart.toml")):
        for feed in tomllib.loads(file.read_text())["feeds"].values():
            for expression in [*feed.get("map", {}).values(), *([feed["where"]] if "where" in feed else [])]:
                yield pytest.param(expression, id=f"{file.parent.name}: {expression[:30]}")


@pytest.mark.parametrize(
    "expression",
    [
        *example_expressions(), "a -- a comment", "a /* b */", "a[1:2]", "s.id::varchar", "(a, i)", "x in (1, 2)",
        "list_filter(a, lambda x: x > 1)", "coalesce(*columns(*))", "(select max(x) from unnest(a) t(x))", "null",
        "a is null or b like '%;%'", "'--'", "{'a': 1}", "item_id in (from raw.items)", "count(*) over ()",
    ],
)  # fmt: skip
def test_an_expression_of_duckdb_is_understood(expression):
    require_one_expression(duckdb.connect(), "--map item_id=", expression)


NOT_ONE = [
    "a, b", "a as b", "a from t", "a; select 1", "a order by 1", "a where b", "*", "columns(*)", "lower(columns(*))",
    "a union select b", "distinct a", "a limit 1", "a group by all", "a using sample 1",
    "a; drop table raw.items", "a; attach 'f.db'", "a; insert into raw.items select 1",
]  # fmt: skip
BROKEN = [
    "a=b; c", "a) from t; drop table raw.items; --", "a /* b", "", "copy raw.items to 'f.csv'", "pragma version",
    "lower(",
]  # fmt: skip
READING = [
    "(select max(x) from read_csv('f.csv'))", "(select content from read_text('/etc/passwd'))", "x in (from glob('*'))",
    "(select x from 'f.parquet')", "(from read_parquet('s3://b/f'))", "getenv('HOME')", "(from query('select 1'))",
    "exists (with t as (from read_blob('f')) from t)", "list_transform(a, lambda x: (select 1 from 'f.csv'))",
]  # fmt: skip


@pytest.mark.parametrize("expression", NOT_ONE + BROKEN + READING)
def test_what_is_no_single_expression_or_reads_files_is_refused(expression):
    with pytest.raises(NextmartError) as refused:
        require_one_expression(duckdb.connect(), "--map item_id=", expression)
    assert f"--map item_id={expression}" in str(refused.value)
    assert isinstance(refused.value, UsageError) == (expression not in BROKEN)
    assert ("--allow-sql-io" in str(refused.value)) == (expression in READING)
    if expression in READING:
        require_one_expression(duckdb.connect(), "--map item_id=", expression, allow_io=True)


def test_load_refuses_and_allows(shell):
    shell.write("e.csv", "visitor_id,item_id,event_at\nv,i,2026-01-01\n")
    shell.write("own.csv", "item_id\ni\n")
    ours = ["--where-events", "item_id in (select item_id from 'own.csv')"]
    code, said = shell("load", "--events", "e.csv", *ours)
    assert code == 2
    assert "--where-events item_id in (select item_id from 'own.csv'): the expression reaches out" in said
    assert shell.load("--events", "e.csv", *ours, "--allow-sql-io")["events"]["loaded"] == 1
    code, said = shell("load", "--events", "e.csv", "--map", "item_id=item_id, 1")
    assert (code, "--map item_id=item_id, 1: write exactly one SQL expression" in said) == (2, True)
    shell.load("--events", "e.csv", "--map", "item_id=visitor_id -- the visitor", "--where-events", "true -- all")


# --- times ---


@pytest.mark.parametrize(
    ("text", "form", "instant"),
    [
        ("Fri, 31 Dec 2021 10:00:00 +0100", "%a, %d %b %Y %H:%M:%S %z", "2021-12-31 09:00:00+00"),
        ("31/Dec/2021:10:00:00 +0100", "%d/%b/%Y:%H:%M:%S %z", "2021-12-31 09:00:00+00"),
        ("31.12.2021 10:00", "%d.%m.%Y %H:%M", "2021-12-31 10:00:00"),
        ("12/1/2010 8:26", "%m/%d/%Y %H:%M", "2010-12-01 08:26:00"),
        ("01/02/2021 1:45 PM", "%d/%m/%Y %I:%M %p", "2021-02-01 13:45:00"),
        ("2021-01-31 10:00:06,123", "%Y-%m-%d %H:%M:%S,%f", "2021-01-31 10:00:06.123"),
    ],
)
def test_times_of_a_given_format_are_read_and_others_are_counted(shell, text, form, instant):
    rows = [{"v": "v", "i": "i", "at": text}, {"v": "w", "i": "i", "at": "soon"}, {"v": "x", "i": "i", "at": ""}]
    maps = ["--map", "visitor_id=v", "--map", "item_id=i", "--map", "event_at=at", "--map", "updated_at=at"]
    file = shell.write("e.jsonl", rows)
    said = said_by_load(shell, "--events", file, *maps, "--time-format", form)
    assert shell.rows("select event_at from raw.events order by visitor_id") == [(instant,), ("soon",), ("",)]
    assert "event_at: 1 times have no --time-format" in said
    assert "'soon'" in said
    said_by_load(shell, "--items", file, *maps, "--time-format", form)
    assert shell.rows("select updated_at from raw.items") == [(instant,)]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (
            ["01/02/2021", "03/04/2021"],
            ["'01/02/2021' is 2021-02-01 00:00:00 with --time-format '%d/%m/%Y', or "
             "2021-01-02 00:00:00 with --time-format '%m/%d/%Y'", "2 of 2 times"],
        ),
        (["01/02/2021 1:45 PM"], ["'%d/%m/%Y %I:%M %p', or", "'%m/%d/%Y %I:%M %p'"]),
        (["01.02.2021 10:00", "31.12.2021 10:00"], ["--time-format '%d.%m.%Y %H:%M'. Say"]),
        (["12/1/2010 8:26", "2026-01-01"], ["1 of 2 times", "2010-01-12 08:26:00", "2010-12-01 08:26:00"]),
        (["2/4/20, 5:14 AM"], ["'%d/%m/%y, %I:%M %p'", "'%m/%d/%y, %I:%M %p'"]),
        (["[28/March/2019:10:05:04 +0000]"], ["'[%d/%B/%Y:%H:%M:%S %z]'"]),
        (["01/02/21"], ["'%d/%m/%y'", "'%m/%d/%y'", "'%y/%m/%d'"]),
        (["31/Dec/2021:10:00:00 +0100"], ["'%d/%b/%Y:%H:%M:%S %z'"]),
        (["some day"], ["'some day'", "--time-format"]),
    ],
)  # fmt: skip
def test_unread_times_show_their_readings_and_nothing_is_guessed(shell, texts, words):
    rows = "".join(f'v{n},i,"{text}"\n' for n, text in enumerate(texts))
    said = said_by_load(shell, "--events", shell.write("e.csv", "visitor_id,item_id,event_at\n" + rows))
    for word in words:
        assert word in said
    assert shell.rows("select event_at from raw.events order by visitor_id") == [(text,) for text in texts]


def test_a_year_of_two_digits_is_in_no_early_century(shell):
    events = shell.write("e.csv", "visitor_id,item_id,event_at\nv,i,12/1/10 8:26\n")
    said = shell("load", "--check", "--events", events)[1]
    assert "'12/1/10 8:26' is 2010-01-12 08:26:00 with --time-format '%d/%m/%y %H:%M', or 2010-12-01 08:26:00" in said
    said = said_by_load(shell, "--events", events, "--time-format", "%d/%m/%Y %H:%M")
    assert "1 times have no --time-format" in said
    assert shell.rows("select event_at from raw.events") == [("12/1/10 8:26",)]


def test_one_unread_time_among_many_is_found(shell):
    rows = "".join(f"v,i,2026-01-01 00:00:{n % 60:02}.{n}\n" for n in range(30_000))
    said = said_by_load(shell, "--events", shell.write("e.csv", f"visitor_id,item_id,event_at\n{rows}v,i,1/2/2021\n"))
    assert "1 of 30,001 times can't be read for certain. '1/2/2021' is 2021-02-01" in said


def test_two_formats_that_read_a_time_differently_leave_it(shell):
    shell.write("e.csv", "visitor_id,item_id,event_at\nv,i,01/02/2021\nw,i,31/12/2021\n")
    said = said_by_load(shell, "--events", "e.csv", "--time-format", "%d/%m/%Y", "--time-format", "%m/%d/%Y")
    assert shell.rows("select event_at from raw.events order by all") == [("01/02/2021",), ("2021-12-31 00:00:00",)]
    assert "1 times have no --time-format (or several formats read them differently), such as '01/02/2021'" in said


@pytest.mark.parametrize(("form", "word"), [("%H:%M", "must name a year"), ("%d/%m/%Q", "%d/%m/%Q")])
def test_a_wrong_format_is_refused(shell, form, word):
    shell.write("e.csv", "visitor_id,item_id,event_at\nv,i,01/02/2021\n")
    code, said = shell("load", "--events", "e.csv", "--time-format", form)
    assert (code, word in said) == (2, True)


# --- suspicions ---


def test_order_lines_are_recognised_and_mapped(shell):
    rows = [
        {"order_no": f"o{n}", "visitor_id": f"v{n}", "sku": item, "event_at": "2026-01-01 10:00:00"}
        for n in range(4) for item in ("lamp", "mug")
    ]  # fmt: skip
    maps = ["--map", "item_id=sku"]
    said = said_by_load(shell, "--events", shell.write("e.jsonl", rows), *maps, "--map", "event_id=order_no")
    assert "4 event_ids stand in rows of several items" in said
    advice = "event_id=order_no || '-' || sku"
    assert f'--map "events.{advice}"' in said
    assert 'event_identity = ["event_id", "item_id"] under [vars] in nextmart.toml' in said
    assert "several items" not in said_by_load(shell, "--events", "e.jsonl", *maps, "--map", advice)
    assert shell.rows("select count(*) from raw.events where event_id like '%-mug'") == [(4,)]
    shell.write("few.jsonl", rows[:6])
    assert "several items" not in said_by_load(shell, "--events", "few.jsonl", *maps, "--map", "event_id=order_no")
    shell.write("nextmart.toml", '[vars]\nevent_identity = ["event_id", "item_id"]\n')
    assert "several items" not in said_by_load(shell, "--events", "e.jsonl", *maps, "--map", "event_id=order_no")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["v,2026-01-01,0", "w,2026-01-01,0"], "'0': 2 events of 2 visitors, 0 hours"),
        (["v,2026-01-01,0", "v,2028-01-01,0"], "'0': 2 events of 1 visitors, 17,520 hours"),
        (["v,1767225600,0", "v,1767398400,0"], "48 hours from 1767225600 to 1767398400"),
        (["v,2026-01-01,1", "v,2026-01-01 23:00:00,1", "v,2026-03-01,2", "w,2026-03-01,"], None),
    ],
)
def test_sessions_that_are_none_are_said(shell, rows, words):
    lines = "".join(f"i,{row}\n" for row in rows)
    file = shell.write("e.csv", "item_id,visitor_id,event_at,source_session_id\n" + lines)
    said = said_by_load(shell, "--events", file)
    assert (words or "events: 4 loaded") in said
    assert ("--map source_session_id=null" in said) == bool(words)
    assert ("cut where their visitor is silent for more than 30 minutes (session_gap_minutes)" in said) == bool(words)
    assert "source_session_id" not in said_by_load(shell, "--events", file, "--map", "source_session_id=null")


def test_the_longest_session_of_the_tracker_is_a_setting_and_null_words_are_nobody(shell):
    lines = ["v,2026-01-01 10:00:00,1", "v,2026-01-01 13:00:00,1", "NA,2026-01-01 10:00:00,1"]
    lines += [f"{visitor},2026-01-01,(not set)" for visitor in "vw"]
    file = shell.write("e.csv", "visitor_id,event_at,source_session_id,item_id\n" + "".join(f"{x},i\n" for x in lines))
    assert "source_session_id" not in said_by_load(shell, "--check", "--events", file)
    shell.write("nextmart.toml", "[vars]\nmax_source_session_hours = 2.5\n")
    said = said_by_load(shell, "--check", "--events", file)
    assert "last longer than 2.5 hours (max_source_session_hours), such as '1': 2 events of 1 visitors, 3 hours" in said


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('event_identity = ["item_id"]', 'use ["event_id"] or ["event_id", "item_id"] (got [\'item_id\'])'),
        ('event_identity = ["item_id", "event_id"]', 'use ["event_id"] or ["event_id", "item_id"]'),
        (
            'event_identity = "event_id"',
            "'vars.event_identity': Input should be a valid list (got 'event_id'); allowed",
        ),
        ("max_source_session_hours = 0", "'vars.max_source_session_hours': Input should be greater than 0 (got 0)"),
        ('max_source_session_hours = "a day"', "'vars.max_source_session_hours': Input should be a valid number"),
    ],
)
@pytest.mark.parametrize("command", [["run"], ["load", "--events", "e.csv"]], ids=["run", "load"])
def test_a_wrong_identity_or_length_stops_the_command_before_it_begins(shell, command, setting, words):
    shell.write("nextmart.toml", f"[vars]\n{setting}\n")
    code, said = shell(*command)
    assert (code, words in said) == (2, True), said
    assert not list(shell.folder.glob("*.duckdb"))
