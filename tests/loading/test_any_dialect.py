"""A table loads to the same rows, whatever dialect or format it is written in; or the broken rows alone are named."""

import bz2
import gzip
import json
import zipfile

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jobs.errors import NextmartError
from jobs.loading.raw_rows import read_source
from jobs.loading.sources import ReadOptions, SourceFiles
from jobs.settings import default_vars
from jobs.warehouse.connection import prepare_warehouse

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
        prepare_warehouse(connection)
        yield connection


def loaded(connection, path, **options):
    """Return the rows that a file of items gives, by id, and what is known of the unreadable rows."""
    source = SourceFiles("items", str(path), options=ReadOptions(**options))
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
