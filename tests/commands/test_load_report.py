"""What `nextmart load` and `nextmart load --check` say about the rows of files, before a build rejects them."""

import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.cli import main
from jobs.loading import row_samples
from jobs.loading.report_text import report_lines, report_warnings, share_text
from jobs.loading.source_report import ColumnReport, ItemMatches, SourceReport
from jobs.warehouse.connection import connect

HEADER = "visitor_id,item_id,event_at,event_type,user_id\n"


class Loader:
    """A folder in which `nextmart load` runs, inside this process."""

    def __init__(self, folder, monkeypatch, capsys):
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code and what the command says."""
        self.monkeypatch.setattr(sys, "argv", ["nextmart", "load", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        output = self.capsys.readouterr()
        self.stdout = output.out
        return exit_.value.code or 0, output.err + output.out

    def report(self, table: str, *arguments: str) -> dict:
        """Load, which must succeed, and return the report of a table's rows."""
        code, said = self(*arguments, "--json")
        assert code == 0, said
        return json.loads(self.stdout)["detail"][table]["report"]


@pytest.fixture
def load(tmp_path, monkeypatch, capsys) -> Loader:
    monkeypatch.chdir(tmp_path)
    return Loader(tmp_path, monkeypatch, capsys)


EVENTS = HEADER + (
    "v,a,2026-01-01 10:00:00,view,u\n"
    "v,a,1767261600000,view,\n"
    "w,b,2026-01-03,cart,\n"
    "w, ,soon,view,\n"
    ",c,soon,view,\n"
    "x,c,,view,\n"
    "x,c,100000,view,\n"  # a Unix time, in 1970
    "x,c,2099-01-31,view,\n"
)


def test_the_events_of_a_file_are_counted_by_the_rules_of_staging(load):
    report = load.report("events", "--events", load.write("e.csv", EVENTS))
    assert report["rows"] == report["measured_rows"] == 8
    assert report["columns"]["event_at"] == {"given": 7, "read": 5, "unread": {"soon": 2}}
    assert [report["columns"][name]["read"] for name in ("visitor_id", "item_id", "user_id")] == [7, 7, 1]
    assert (report["first_time"], report["last_time"]) == ("2026-01-01 10:00:00", "2026-01-03 00:00:00")
    assert (report["days"], report["too_early"], report["in_future"], report["usable"]) == (2, 1, 1, 3)
    assert report["event_types"] == {"view": 7, "cart": 1}
    assert (report["visitors"], report["users"]) == (3, 1)


def test_the_items_of_a_file_are_counted_by_the_rules_of_staging(load):
    text = (
        "item_id,title,price,available,updated_at\na,Lamp,12.5,yes,2026-01-01\nb,Mug,soon,perhaps,never\n"
        "c,,,no,2026-02-01\n,Cup,7,0,\n"
    )
    report = load.report("items", "--items", load.write("i.csv", text))
    assert (report["rows"], report["usable"], report["texts"], report["withdrawn"]) == (4, 3, 3, 2)
    assert report["columns"] == {
        "item_id": {"given": 3, "read": 3, "unread": {}},
        "price": {"given": 3, "read": 2, "unread": {"soon": 1}},
        "available": {"given": 4, "read": 3, "unread": {"perhaps": 1}},
        "updated_at": {"given": 3, "read": 2, "unread": {"never": 1}},
    }
    assert (report["first_time"], report["last_time"]) == ("2026-01-01 00:00:00", "2026-02-01 00:00:00")


def test_words_for_null_count_where_staging_lets_them_count(load):
    header = "event_id,visitor_id,item_id,event_at,event_type\n"
    rows = "none,v,a,2026-01-01,undefined\n-,v,a,2026-01-02,-\nc,NULL,a,2026-01-02,view\n"
    report = load.report("events", "--events", load.write("e.csv", header + rows))
    assert report["event_types"] == {"-": 1, "undefined": 1, "view": 1}
    assert [report["columns"][name]["read"] for name in ("event_id", "event_type", "visitor_id")] == [3, 3, 2]
    assert report["usable"] == 2
    report = load.report("events", "--events", load.write("t.csv", header + "d,v,a,NULL,view\n"))
    assert report["columns"]["event_at"] == {"given": 1, "read": 0, "unread": {"NULL": 1}}  # unparsable_event_at
    shown = "visitor_id,item_id,shown_at,rank\nv,a,n/a,NULL\n"
    report = load.report("impressions", "--impressions", load.write("s.csv", shown))
    assert report["columns"]["shown_at"] == {"given": 1, "read": 0, "unread": {"n/a": 1}}  # unparsable_shown_at
    assert report["columns"]["rank"]["given"] == 0
    report = load.report("items", "--items", load.write("i.csv", "item_id,title,available\na,NULL,n/a\n-,A,1\n"))
    assert report["columns"]["available"] == {"given": 2, "read": 1, "unread": {"n/a": 1}}
    assert (report["usable"], report["texts"]) == (1, 1)


def test_only_types_that_the_settings_know_are_usable(load):
    load.write("nextmart.toml", '[vars]\nknown_event_types = ["View"]\n')
    report = load.report("events", "--events", load.write("e.csv", HEADER + "v,a,2026-01-01,view,\n"))
    assert (report["usable"], report["unknown_event_types"]) == (0, {"view": 1})
    assert any("known_event_types lacks view 1" in warning for warning in report["warnings"])


@pytest.mark.parametrize(
    ("catalogue", "events", "way", "where"),
    [
        ("7 8", "007 08", "without leading zeros", "events"),
        ("007 08", "7 8", "without leading zeros", "catalogue"),
        ("007 08", "07 008", "without leading zeros", "both"),
        ("ab cd", "AB Cd", "in lower case", "events"),
        ("AB CD", "ab Cd", "in upper case", "events"),
        ("Ab cD", "aB Cd", "in lower case", "both"),
        ("4 5", "4.0 5.00", "without `.0`", "events"),
        ("4.0 5.0", "4 5", "without `.0`", "catalogue"),
        ("a b", "\ta b\u200b", "trimmed", "events"),
        ("a b", '"""a""" """b"""', "without quote signs", "events"),
    ],
)
def test_near_misses_say_what_would_match_and_whose_ids_to_respell(load, catalogue, events, way, where):
    load.write("i.csv", "item_id,title\n" + "".join(f"{item},T\n" for item in catalogue.split(" ")))
    rows = "".join(f"v,{item},2026-01-01,view,\n" for item in events.split(" "))
    load.write("e.csv", HEADER + rows + "v,nothing like it,2026-01-01,view,\n")
    items = load.report("events", "--items", "i.csv", "--events", "e.csv")["items"]
    assert (items["ids"], items["known_ids"]) == (3, 0)
    assert items["near_misses"][0] == {"way": way, "where": where, "ids": 2}
    code, said = load("--events", "e.csv")
    assert (code, f"2 of 3 would match {way}" in said) == (0, True)


def test_items_that_come_after_events_say_what_would_match(load):
    load.report("events", "--events", load.write("e.csv", HEADER + "v,7,2026-01-01,view,\nv,8,2026-01-01,view,\n"))
    items = load.report("items", "--items", load.write("i.csv", "item_id\n007\n08\n"))["items"]
    assert (items["rows"], items["known_ids"]) == (2, 0)
    assert items["near_misses"] == [{"way": "without leading zeros", "where": "catalogue", "ids": 2}]
    code, said = load("--items", "i.csv")
    assert code == 0
    assert "\n  events    0 % of the events are on items of the catalogue; it lacks 2 of 2 item ids: '7' (1)" in said
    assert "WARN: items: only 0 % of the events are on items of the catalogue" in said
    # other items: old events may be on items that are gone
    code, said = load("--items", load.write("i.csv", "item_id\nx\n"), "--warehouse", "other.duckdb")
    assert (code, "of the events" in said) == (0, False)
    load.report("events", "--events", load.write("e.csv", HEADER + "v,a,2026-01-01,view,\n"), "--warehouse", "o.duckdb")
    code, said = load("--items", "i.csv", "--warehouse", "o.duckdb")
    assert (code, "0 % of the events" in said, "WARN" in said) == (0, True, False)


def test_known_items_are_those_of_the_warehouse_and_of_the_same_load(load):
    load.report("items", "--items", load.write("old.csv", "item_id\na\n"))
    load.write(
        "e.csv", HEADER + "v,a,2026-01-01,view,\nw,a,2026-01-01,view,\nv, b ,2026-01-01,view,\nv,c,2026-01-01,view,\n"
    )
    items = load.report("events", "--events", "e.csv", "--items", load.write("new.csv", "item_id\nb\n"))["items"]
    assert [items[name] for name in ("ids", "rows", "known_ids", "known_rows")] == [3, 4, 2, 3]
    assert (items["unknown"], items["near_misses"]) == ({"c": 1}, [])


def test_people_read_aligned_lines_and_warnings_first_in_their_lines(load):
    code, said = load("--events", load.write("e.csv", EVENTS))
    assert code == 0
    lines = said.splitlines()
    assert lines.pop(0).startswith("e.csv: warning: event_at: 2 of 7 times can't be read for certain, such as 'soon'")
    assert lines[0] == "events: 8 loaded of 8 read (0 repeated, 0 known before)"
    assert lines[1].startswith("  times     62.5 % read (2026-01-01 10:00 to 2026-01-03 00:00, 2 days with events)")
    assert "; not read: 'soon' (2)" in lines[1]
    assert [line for line in lines if line.startswith("WARN: events: only 62.5 % of times")]
    assert "  items     3; 12.5 % of rows (1) have none; there is no catalogue yet" in lines
    assert [line for line in lines if line.startswith("WARN: events: there is no catalogue yet")]


def test_without_a_catalogue_is_said_once_with_what_to_type(load):
    load.write("e.csv", HEADER + "v,a,2026-01-01,view,\n")
    load.write("f.csv", HEADER + "v,b,2026-01-01,view,\n")
    said = load("--events", "e.csv", "--events", "f.csv")[1]
    assert said.count("WARN: events: there is no catalogue yet") == 1
    assert "nextmart load --items FILE" in said
    assert "0 % of the events" not in said


def test_what_is_right_gives_no_warning(load):
    load.write("e.csv", HEADER + "v,a,2026-01-01,view,\n")
    load.write("i.csv", "item_id,title,price,available\na,Lamp,3,yes\n")
    code, said = load("--events", "e.csv", "--items", "i.csv")
    assert (code, "WARN" in said) == (0, False)


def test_values_of_users_do_no_harm_to_a_terminal(load):
    load.write("e.csv", HEADER + 'v,"\x1b[2Ja\nWARN: all is lost",\x1b]0;title\x07,"\x1b[1mview\nWARN: x",\n')
    code, said = load("--events", "e.csv")
    assert code == 0
    assert "\x1b" not in said
    assert not [line for line in said.splitlines() if line.startswith(("WARN: all is lost", "WARN: x"))]


# --- load --check ---


def test_a_check_without_a_warehouse_leaves_no_file(load):
    load.write("e.csv", HEADER + "v,a,2026-01-01,view,\n")
    load.write("i.csv", "item_id\na\n")
    code, said = load("--check", "--events", "e.csv", "--items", "i.csv")
    assert (code, "events: 1 would be loaded of 1 read" in said, "WARN" in said) == (0, True, False)
    assert {path.name for path in load.folder.iterdir()} == {"e.csv", "i.csv"}


def test_a_check_changes_nothing_and_knows_the_warehouses_catalogue(load):
    load.report("items", "--items", load.write("i.csv", "item_id\na\n"))
    load.write("e.csv", HEADER + "v,a,2026-01-01,view,\n")
    code, _ = load("--check", "--events", "e.csv", "--json")
    summary = json.loads(load.stdout)
    assert (code, summary["status"], summary["detail"]["events"]["report"]["items"]["known_ids"]) == (0, "checked", 1)
    with connect(load.folder / "warehouse.duckdb") as connection:
        assert connection.execute("select count(*) from raw.events").fetchone() == (0,)
        assert connection.execute("select count(*) from ml.job_runs").fetchone() == (1,)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--events", HEADER + "v,a,soon,view,\n"),
        ("--events", HEADER + ",a,2026-01-01,view,\n"),
        ("--events", HEADER + "v,,2026-01-01,view,\n"),
        ("--items", "item_id,title\n,Lamp\n"),
    ],
)
def test_a_check_of_a_file_that_is_of_no_use_fails(load, option, text):
    code, said = load("--check", option, load.write("file.csv", text))
    assert (code, "WARN" in said) == (1, True)


def test_a_check_of_a_file_that_cannot_be_read_says_why(load):
    code, said = load("--check", "--events", load.write("e.csv", ""))
    assert (code, "e.csv is empty" in said) == (1, True)


# --- many rows, and words ---


def test_of_very_many_rows_a_sample_is_read(load, monkeypatch):
    monkeypatch.setattr(row_samples, "EXACT_ROWS", 20_000)
    monkeypatch.setattr(row_samples, "SAMPLE_ROWS", 20_000)
    lines = (f"v{n % 100},a,{'2026-01-01' if n % 2 else 'soon'} ,view,u{n}\n" for n in range(60_000))
    report = load.report("events", "--events", load.write("e.csv", HEADER + "".join(lines)))
    times = report["columns"]["event_at"]
    assert report["rows"] == 60_000
    assert 0 < report["measured_rows"] < 60_000
    assert times["read"] / report["measured_rows"] == pytest.approx(0.5, abs=0.05)
    assert report["visitors"] == pytest.approx(100, rel=0.1)
    assert (report["event_types"], report["items"]["rows"]) == ({"view": 60_000}, 60_000)
    assert "of 60,000 rows" in load("--events", "e.csv")[1]


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "0 %"),
        (0, 3, "0 %"),
        (3, 3, "100 %"),
        (987, 1000, "98.7 %"),
        (99_999, 100_000, "99.9 %"),
        (1, 100_000, "0.1 %"),
    ],
)
def test_only_all_is_called_all(part, whole, text):
    assert share_text(part, whole) == text


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(values=st.dictionaries(st.text(max_size=60), st.integers(1, 10**9), max_size=5), rows=st.integers(0, 10))
def test_whatever_the_values_are_each_line_is_one_printable_line(values, rows):
    columns = {
        name: ColumnReport(rows, 0, values)
        for name in ("event_id", "visitor_id", "user_id", "item_id", "event_type", "event_at")
    }
    report = SourceReport(
        "events", rows, rows, 0, columns, None, None,
        event_type_counts=values, unknown_event_type_counts=values, item_matches=ItemMatches(9, 9, 0, 0, values, ()),
    )  # fmt: skip
    for line in [*report_lines(report), *report_warnings(report)]:
        assert line.isprintable()
