"""A table loads to the same rows, whatever dialect or format it is written in; or the broken rows alone are named."""

import bz2
import gzip
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import duckdb
import polars as pl
import pytest
import xlsxwriter
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jobs.dbt_vars import default_vars
from jobs.errors import NextmartError
from jobs.loading.arrivals import read_source
from jobs.loading.sources import LoadSource, ReadOptions
from jobs.warehouse.connection import prepare_warehouse
from jobs.warehouse.dbt_macros import dbt_macros

COLUMNS = ("item_id", "title", "brand")
TEXTS = st.text(
    st.one_of(st.sampled_from("\"',;|:\t\r\n# \\aäß€0"), st.characters(exclude_characters="\0", codec="utf-8")),
    max_size=12,
)
TABLES = st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.none() | TEXTS), min_size=1, max_size=8).map(
    lambda rows: [(f"{number}{id_}", title, brand) for number, (id_, title, brand) in enumerate(rows)]
)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        # a file that is written again within the same tick of the clock is not taken from the cache
        connection.execute("set enable_external_file_cache = false")
        prepare_warehouse(connection)
        yield connection


def loaded(connection, path, **options):
    """Return the rows that a file of items gives, by id, and what is known of the unreadable rows."""
    source = LoadSource("items", str(path), read_options=ReadOptions(**options))
    arrivals = read_source(connection, source, default_vars())
    rows = connection.execute(f"select item_id, title, brand from {arrivals.relation}").fetchall()
    return {row[0]: row for row in rows}, arrivals


def as_csv(rows, delimiter, line_ends, quoting, header=COLUMNS):
    def field(value):
        text = value or ""
        plain = not any(sign in text for sign in (*delimiter, "\r", "\n"))
        if quoting == "minimal":
            plain = plain and '"' not in text
        elif quoting == "bare":  # a quote inside a text stays as it is
            plain = plain and not text.lstrip(" ").startswith('"')
        else:
            plain = value is None
        return text if plain else '"' + text.replace('"', '""') + '"'

    lines = [delimiter.join(map(field, row)) for row in (header, *rows)]
    return "".join(line + line_ends[number % len(line_ends)] for number, line in enumerate(lines))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=TABLES,
    delimiter=st.sampled_from([",", ";", "\t", "|", "::"]),
    line_ends=st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\r\n", "\n"], ["\n", "\r\n"]]),
    quoting=st.sampled_from(["all", "minimal", "bare"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"]),
    ending=st.sampled_from([".csv", ".tsv", ".txt", ".csv.gz", ".csv.bz2", ".csv.zip"]),
    excel_line=st.booleans(),
    odd_column=st.sampled_from(["", "x\ny", "x\ry", "x\r\ny"]),
)
def test_text_of_any_dialect(
    connection, tmp_path, rows, delimiter, line_ends, quoting, encoding, ending, excel_line, odd_column
):
    header = (*COLUMNS, odd_column) if odd_column else COLUMNS
    text = as_csv([(*row, "more") if odd_column else row for row in rows], delimiter, line_ends, quoting, header)
    if excel_line and len(delimiter) == 1:
        text = f"sep={delimiter}{line_ends[0]}{text}"
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:
        assume(False)
    path = tmp_path / f"items{ending}"
    if ending.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("items.csv", content)
    else:
        pack = {".gz": gzip.compress, ".bz2": bz2.compress}.get(f".{ending.rpartition('.')[2]}", bytes)
        path.write_bytes(pack(content) if ending.count(".") > 1 else content)
    options = {} if encoding.startswith("utf-8") else {"encoding": encoding}
    # a CSV does not tell an empty text from a missing one
    expected = {row[0]: tuple(value or None for value in row) for row in rows}
    got, arrivals = loaded(connection, path, **options)
    assert got == expected
    assert arrivals.unreadable_count == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=TABLES, escaped=st.booleans(), ending=st.sampled_from([".jsonl", ".ndjson", ".json", ".parquet", "[].json"])
)
def test_json_and_parquet(connection, tmp_path, rows, escaped, ending):
    path = tmp_path / f"items{ending.removeprefix('[]')}"
    objects = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    if ending == ".parquet":
        pl.DataFrame(objects, schema=dict.fromkeys(COLUMNS, pl.String)).write_parquet(path)
    elif ending == "[].json":
        path.write_text(json.dumps(objects, ensure_ascii=escaped), encoding="utf-8")
    else:
        lines = (json.dumps(row, ensure_ascii=escaped) + "\n" for row in objects)
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
    assert loaded(connection, path)[0] == {row[0]: row for row in rows}


def as_workbook(path, header, rows):
    with xlsxwriter.Workbook(path) as workbook:
        sheet = workbook.add_worksheet()
        for row, values in enumerate([header, *rows]):
            for column, value in enumerate(values):
                if isinstance(value, str):
                    sheet.write_string(row, column, value)
                elif value is not None:
                    sheet.write_number(row, column, value)


CELLS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="_"), max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2**50) | CELLS, CELLS | st.none(), CELLS | st.integers(0, 99)), min_size=1, max_size=8
    )
)
def test_a_workbook(connection, tmp_path, rows):
    rows = [(id_ if isinstance(id_, int) else f"{n}{id_}", title, brand) for n, (id_, title, brand) in enumerate(rows)]
    assume(len({str(row[0]) for row in rows}) == len(rows))
    as_workbook(tmp_path / "items.xlsx", COLUMNS, rows)
    expected = [tuple(None if value in ("", None) else str(value) for value in row) for row in rows]
    assert loaded(connection, tmp_path / "items.xlsx")[0] == {row[0]: row for row in expected}


INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1))
UNITS = {"ms": timedelta(milliseconds=1), "us": timedelta(microseconds=1), "ns": timedelta(microseconds=1)}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=5, unique=True),
    type_=st.sampled_from([pl.Int64, pl.Float64, pl.Decimal(38, 2), pl.String]),
    instant=INSTANTS,
    unit=st.sampled_from(sorted(UNITS)),
    zone=st.sampled_from([None, "UTC", "Asia/Kolkata", "America/New_York"]),
    is_folder=st.booleans(),
)
def test_parquet_of_any_type_gives_the_same_ids_and_instants(
    connection, tmp_path, ids, type_, instant, unit, zone, is_folder
):
    instant = datetime.min + (instant - datetime.min) // UNITS[unit] * UNITS[unit]
    times = pl.Series([instant] * len(ids), dtype=pl.Datetime(unit)).dt.replace_time_zone("UTC")
    times = times.dt.convert_time_zone(zone) if zone else times.dt.replace_time_zone(None)
    frame = pl.DataFrame({"visitor_id": pl.Series(ids).cast(type_), "item_id": ["i"] * len(ids), "event_at": times})
    path = Path(mkdtemp(dir=tmp_path))  # DuckDB remembers blocks of a file that another one of its name replaces
    parts = [frame[:1], frame[1:]] if is_folder and len(ids) > 1 else [frame]
    for number, part in enumerate(parts):
        part.write_parquet(path / f"{number}.parquet")
    source = LoadSource("events", str(path if is_folder else path / "0.parquet"))
    relation = read_source(connection, source, default_vars()).relation
    to_instant = dbt_macros(dbt_vars=default_vars()).to_timestamp_utc("event_at")
    rows = connection.execute(f"select visitor_id, epoch_us({to_instant}) from {relation}").fetchall()
    microseconds = (instant.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert sorted(rows) == sorted((str(id_), microseconds) for id_ in ids)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=TABLES, delimiters=st.lists(st.sampled_from([",", ";", "\t", "|", "::"]), min_size=3, max_size=3))
def test_a_folder_whose_files_have_dialects_of_their_own(connection, tmp_path, rows, delimiters):
    folder = tmp_path / "items"
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    texts = [as_csv(rows[part::3], delimiter, ["\n"], "all") for part, delimiter in enumerate(delimiters)]
    (folder / "0.csv").write_text(texts[0], encoding="utf-8-sig", newline="")
    (folder / "1.csv.gz").write_bytes(gzip.compress(texts[1].encode()))
    with zipfile.ZipFile(folder / "deep" / "2.csv.zip", "w") as archive:
        archive.writestr("items.csv", texts[2])
    got, arrivals = loaded(connection, folder)
    assert got == {row[0]: tuple(value or None for value in row) for row in rows}
    assert arrivals.unreadable_count == 0


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prices=st.lists(st.decimals(0, 99_999, places=2), min_size=1, max_size=20), sign=st.sampled_from(".,"))
def test_prices_with_either_decimal_sign(connection, tmp_path, prices, sign):
    rows = "".join(f"{number};{price:.2f}\n".replace(".", sign) for number, price in enumerate(prices))
    (tmp_path / "items.csv").write_text(f"item_id;price\n{rows}")
    relation = loaded(connection, tmp_path / "items.csv")[1].relation
    to_price = dbt_macros(dbt_vars=default_vars()).to_price("price")
    read = connection.execute(f"select {to_price} from {relation} order by item_id::int").fetchall()
    assert [row[0] for row in read] == [float(price) for price in prices]


BREAKS = {
    "too few columns": lambda line: line.rpartition(b",")[0],
    "too many columns": lambda line: line + b",more",
    "unclosed quote": lambda line: line.rpartition(b",")[0] + b',"unclosed',
    "text after a quote": lambda line: line.rpartition(b",")[0] + b',"a" b',
    "not UTF-8": lambda line: line + b"\xfc",
    "a carriage return": lambda line: line + b"a\rb",
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, 999),
    kind=st.sampled_from(sorted(BREAKS)),
    quoting=st.sampled_from(["all", "minimal"]),
    has_long_texts=st.booleans(),
)
def test_one_broken_row_is_named_and_all_others_load(connection, tmp_path, place, kind, quoting, has_long_texts):
    rows = [
        (f"id{number}", f"Lamp {number}", f"of two\nlines {number}" if has_long_texts else "b")
        for number in range(1_000)
    ]
    lines = as_csv(rows, ",", ["\x00"], quoting).encode().split(b"\x00")[:-1]
    number = 1 + sum(line.count(b"\n") + 1 for line in lines[: place + 1])
    broken = BREAKS[kind](as_csv([(f"id{place}", "Lamp", "b")], ",", [""], "minimal", header=()).encode())
    lines[place + 1] = broken
    path = tmp_path / "items.csv"
    path.write_bytes(b"\n".join(lines) + b"\n")
    got, arrivals = loaded(connection, path)
    reported = connection.execute(f"select file, line, raw_row from {arrivals.unreadable_relation}").fetchall()
    expected = {row[0]: row for row in rows if row[0] != f"id{place}"}
    set_aside = {row[1] for row in reported}
    assert number in set_aside
    assert all(got[id_] == expected[id_] for id_ in got)
    # an unclosed quote before a row of several lines takes that row with it
    missing = set(expected) - set(got)
    assert missing <= ({f"id{place + 1}"} if kind == "unclosed quote" and has_long_texts else set())
    assert reported[0][0] == str(path)


def test_a_quoted_file_with_one_unclosed_quote_keeps_its_quotes_out_of_the_titles(connection, tmp_path):
    rows = [(str(number), f"Lamp {number}", "b") for number in range(10_001)]
    text = as_csv(rows, ",", ["\n"], "all").replace('"Lamp 5000"', '"Lamp 5000')
    (tmp_path / "items.csv").write_text(text)
    got, arrivals = loaded(connection, tmp_path / "items.csv")
    assert got == {row[0]: row for row in rows if row[0] != "5000"}
    reported = connection.execute(f"select line, raw_row, reason from {arrivals.unreadable_relation}").fetchall()
    assert reported == [
        (5002, '"5000","Lamp 5000,"b"', "text follows a closing quote; a quote inside a quoted field is written twice")
    ]


def test_over_the_share_nothing_loads_and_the_first_lines_are_named(connection, tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\n" + "a,A\n" * 97 + "b,1,299\n" * 3)
    with pytest.raises(NextmartError, match=r"3 of 100 rows.*max_unreadable_share = 0.01 allows 1") as refused:
        loaded(connection, path)
    for word in (f"{path}, line 99: 3 columns, not 2", "b,1,299", "item_id,title"):
        assert word in str(refused.value)
    assert loaded(connection, path, max_unreadable_share=0.03)[1].unreadable_count == 3
