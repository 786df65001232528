"""`nextmart load`: which rows get into the raw tables, and which messages the user gets."""

import gzip
import hashlib
import json
import re
import subprocess
import sys
import threading

import duckdb
import polars as pl
import pytest

from jobs.cli import main
from jobs.errors import UsageError
from jobs.loading.mapping import parse_maps
from jobs.warehouse.connection import connect

EVENTS = "event_id,visitor_id,item_id,event_type,event_at\n"
ITEMS = "item_id,title,brand,category,description,price,available,updated_at\n"


class Shell:
    """A folder with a warehouse, in which commands run as for a user, but inside this process."""

    def __init__(self, folder, monkeypatch, capsys):
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def write(self, name: str, content: str | bytes | list[dict]) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif path.suffix == ".parquet":
            pl.DataFrame(content).write_parquet(path)
        else:
            path.write_text("\n".join(json.dumps(row) for row in content), encoding="utf-8")
        return name

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit code and what it says."""
        self.monkeypatch.setattr(sys, "argv", ["nextmart", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        output = self.capsys.readouterr()
        self.stdout = output.out
        return exit_.value.code or 0, output.err + output.out

    def load(self, *arguments: str) -> dict[str, dict[str, int]]:
        """Load, which must succeed, and return the counts by table; ``self.reports`` says what the rows hold."""
        code, said = self("load", *arguments, "--json")
        assert code == 0, said
        detail = json.loads(self.stdout)["detail"]
        self.reports = {table: counts.pop("report", None) for table, counts in detail.items() if table != "files"}
        return detail

    def rows(self, query: str) -> list[tuple]:
        with connect(self.folder / "warehouse.duckdb") as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


ROWS = [
    {"event_id": "e1", "visitor_id": "007", "item_id": "0042", "event_type": "view", "event_at": "2026-01-01 10:00:00"},
    {"event_id": "e2", "visitor_id": "007", "item_id": "1e5", "event_type": "cart", "event_at": "2026-01-01 10:01:00"},
]
AS_CSV = EVENTS + "".join(",".join(row.values()) + "\n" for row in ROWS)
LOADED = "select event_id, visitor_id, item_id, event_type, event_at from raw.events order by all"


# --- formats ---


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("events.csv", AS_CSV),
        ("EVENTS.CSV", AS_CSV),
        ("events.2026.csv", AS_CSV),
        ("events.csv.gz", gzip.compress(AS_CSV.encode(), mtime=0)),
        ("with_bom.csv", "\ufeff" + AS_CSV),
        ("semicolons.csv", AS_CSV.replace(",", ";")),
        ("crlf.csv", AS_CSV.replace("\n", "\r\n")),
        ("events.tsv", AS_CSV.replace(",", "\t")),
        ("events.parquet", ROWS),
        ("events.jsonl", ROWS),
        ("events.ndjson", ROWS),
        ("events.json", json.dumps(ROWS)),
        ("it's.csv", AS_CSV),
    ],
)
def test_every_format_gives_the_same_rows_and_ids_stay_text(shell, name, content):
    counts = shell.load("--events", shell.write(name, content))
    assert counts == {"events": {"read": 2, "repeated": 0, "known": 0, "loaded": 2}}
    assert shell.rows(LOADED) == [tuple(row.values()) for row in ROWS]


def test_json_text_is_not_respelt(shell):
    row = {
        "event_id": "0B3F2A10-1111-4222-8333-ABCDEFABCDEF",
        "visitor_id": "12:30",
        "item_id": 12345678901234567890,
        "event_type": None,
        "event_at": "2026-01-01T10:00:00+05:30",
        "user_id": "2026-01-01T00:00:00",
    }
    shell.load("--events", shell.write("e.jsonl", [row]))
    query = "select event_id, visitor_id, item_id, event_type, event_at, user_id from raw.events"
    assert shell.rows(query) == [tuple(None if value is None else str(value) for value in row.values())]


def test_nested_json_is_reached_by_an_expression(shell):
    shell.write("e.jsonl", [{"who": {"id": "007"}, "things": [{"sku": "a"}], "at": 1767261600}])
    shell.load(
        "--events", "e.jsonl", "--map", "visitor_id=who.id", "--map", "item_id=things[1].sku", "--map", "event_at=at"
    )
    assert shell.rows("select visitor_id, item_id, event_at from raw.events") == [("007", "a", "1767261600")]


def test_parquet_types_become_text_that_staging_reads(shell):
    shell.write("e.parquet", b"")
    duckdb.sql("""
        copy (select 7 as visitor_id, 'i' as item_id, timestamptz '2026-01-01 12:00:00+02' as event_at)
        to 'e.parquet'
    """)
    shell.load("--events", "e.parquet")
    assert shell.rows("select visitor_id, event_at from raw.events") == [("7", "2026-01-01 10:00:00+00")]


def test_a_glob_reads_all_files_also_where_columns_differ(shell):
    shell.write("day/1.csv", "visitor_id,item_id,event_at\nv,i,2026-01-01\n")
    shell.write("day/2.csv", "event_at,user_id,item_id,visitor_id\n2026-01-02,u,i,v\n")
    assert shell.load("--events", "day/*.csv")["events"]["loaded"] == 2
    loaded = shell.rows("select visitor_id, user_id, item_id, event_at from raw.events order by event_at")
    assert loaded == [("v", None, "i", "2026-01-01"), ("v", "u", "i", "2026-01-02")]


def test_all_rows_of_a_load_arrive_at_one_time_in_utc(shell):
    shell.load("--events", shell.write("e.csv", AS_CSV))
    assert shell.rows("select count(distinct loaded_at), count(*) from raw.events where loaded_at <= now()") == [(1, 2)]


# --- mapping ---


def test_mapping_by_column_by_expression_and_by_table(shell):
    shell.write("log.csv", "Session;sku;Seconds;kind\n1;0042;1767261600;buy\n2;0043;1767261660;look\n")
    shell.write("shop.csv", "sku;name;Maker\n0042;Lamp;ACME\n")
    shell.load(
        "--events",
        "log.csv",
        "--items",
        "shop.csv",
        "--map",
        "item_id=sku",
        "--map",
        "visitor_id=session",
        "--map",
        "event_at=to_timestamp(seconds::bigint)",
        "--map",
        "events.event_type=case kind when 'buy' then 'purchase' else 'view' end",
        "--map",
        "items.title=name || ' (new)'",
        "--map",
        "items.brand=maker",
    )
    assert shell.rows("select visitor_id, item_id, event_type, event_at, user_id from raw.events order by all") == [
        ("1", "0042", "purchase", "2026-01-01 10:00:00+00", None),
        ("2", "0043", "view", "2026-01-01 10:01:00+00", None),
    ]
    assert shell.rows("select item_id, title, brand, price from raw.items") == [("0042", "Lamp (new)", "ACME", None)]


def test_a_mapped_column_wins_over_one_of_our_name(shell):
    shell.load("--events", shell.write("e.csv", AS_CSV), "--map", "item_id=visitor_id")
    assert set(shell.rows("select item_id from raw.events")) == {("007",)}


def test_where_keeps_what_is_wanted(shell):
    shell.write("e.csv", AS_CSV)
    counts = shell.load("--events", "e.csv", "--where-events", "event_type = 'cart'")
    assert counts["events"]["read"] == counts["events"]["loaded"] == 1
    assert shell.rows("select event_id from raw.events") == [("e2",)]
    shell.write("i.csv", ITEMS + "a,A,,,,1,,\nb,B,,,,2,,\n")
    shell.load("--items", "i.csv", "--where-items", "price::int > 1")
    assert shell.rows("select item_id from raw.items") == [("b",)]


def test_parse_maps():
    assert parse_maps(["item_id=sku", "events.event_at= a = b ", "price=p"]) == {
        "events": {"item_id": "sku", "event_at": "a = b"},
        "items": {"item_id": "sku", "price": "p"},
        "impressions": {"item_id": "sku"},
    }
    with pytest.raises(UsageError, match="write our_column=their_column"):
        parse_maps(["item_id"])


@pytest.mark.parametrize(
    ("argument", "hint"),
    [
        ("visitorid=v", "visitor_id"),
        ("events.visitorid=v", "visitor_id"),
        ("items.titel=t", "title"),
        ("event.visitor_id=v", "visitor_id"),
        ("items.visitor_id=v", "item_id"),
    ],
)
def test_an_unknown_column_of_ours_names_the_nearest(shell, argument, hint):
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV), "--map", argument)
    assert code == 2
    assert argument.partition("=")[0] in said
    assert hint in said.partition(";")[2]


# --- loading again ---


def test_the_same_file_twice_changes_nothing(shell):
    shell.write("e.csv", AS_CSV)
    shell.write("i.csv", ITEMS + "a,A,,,,1,,\nb,B,,,,2,,2026-01-01\n")
    shell.load("--events", "e.csv", "--items", "i.csv")
    tables = ["from raw.events order by all", "from raw.items order by all"]
    before = [shell.rows(query) for query in tables]
    counts = shell.load("--events", "e.csv", "--items", "i.csv")
    assert [counts[table]["loaded"] for table in ("events", "items")] == [0, 0]
    assert counts["events"]["known"] == 2
    assert [shell.rows(query) for query in tables] == before


def test_overlapping_files_add_only_what_is_new(shell):
    lines = [f"{visitor},i,2026-01-01 10:0{visitor}:00\n" for visitor in range(5)]
    header = "visitor_id,item_id,event_at\n"
    shell.load("--events", shell.write("1.csv", header + "".join(lines[:3])))
    counts = shell.load("--events", shell.write("2.csv", header + "".join(lines[1:] + lines[3:4])))
    assert counts["events"] == {"read": 5, "repeated": 1, "known": 2, "loaded": 2}
    assert shell.rows("select count(*), count(distinct event_id) from raw.events") == [(5, 5)]


def test_the_same_id_with_another_payload_is_loaded_for_staging_to_judge(shell):
    shell.load("--events", shell.write("1.csv", EVENTS + "e1,v,a,view,2026-01-01\n"))
    counts = shell.load("--events", shell.write("2.csv", EVENTS + "e1,v,b,view,2026-01-01\n"))
    assert counts["events"]["loaded"] == 1


def test_an_event_without_an_id_is_named_by_its_content_whatever_the_file(shell):
    row = {"visitor_id": "v", "item_id": "0042", "event_at": "2026-01-01T10:00:00"}
    shell.load("--events", shell.write("e.csv", "visitor_id,item_id,event_at\nv,0042,2026-01-01T10:00:00\n"))
    for file in (shell.write("e.jsonl", [row]), shell.write("e.parquet", [row])):
        assert shell.load("--events", file)["events"] == {"read": 1, "repeated": 0, "known": 1, "loaded": 0}
    # more rows, another order and an unused column change no id
    shell.write("f.csv", "user_id,event_at,visitor_id,item_id\n,2026-01-02,v,1\n,2026-01-01T10:00:00,v,0042\n")
    assert shell.load("--events", "f.csv")["events"]["loaded"] == 1
    # each value is hashed with its length: ('v', '10') and ('v1', '0') differ
    shell.write("g.csv", "visitor_id,item_id,event_at\nw,10,2026-01-03\nw1,0,2026-01-03\n")
    shell.load("--events", "g.csv")
    assert shell.rows("select count(*), count(distinct event_id), min(length(event_id)) from raw.events") == [
        (4, 4, 32)
    ]
    # the id must never change: with another id for the same event, a shop's history would be loaded a second time
    # visitor_id, user_id, item_id, event_type, event_at, source_session_id
    name = hashlib.md5(b"1:v-4:0042-19:2026-01-01T10:00:00-").hexdigest()
    assert shell.rows("select event_id, event_type from raw.events where item_id = '0042'") == [(name, "view")]


def test_items_change_and_change_back(shell):
    for title in ("Lamp", "Lamp", "Desk lamp", "Lamp"):
        shell.load("--items", shell.write("i.csv", f"item_id,title\na,{title}\n"))
    assert shell.rows("select title from raw.items order by loaded_at") == [("Lamp",), ("Desk lamp",), ("Lamp",)]


def test_an_old_dated_item_file_adds_nothing(shell):
    shell.write("old.csv", "item_id,title,updated_at\na,Old,2026-01-01\n")
    shell.write("new.csv", "item_id,title,updated_at\na,New,2026-02-01\n")
    assert [shell.load("--items", f)["items"]["loaded"] for f in ("old.csv", "new.csv", "old.csv")] == [1, 1, 0]


@pytest.mark.parametrize("times", [("2026-01-09", "2026-01-10"), ("999999999", "1767261600")])
def test_many_rows_of_an_item_give_its_latest(shell, times):
    rows = f"a,Zed,{times[1]}\na,Abc,{times[0]}\na,Mid,\n"
    counts = shell.load("--items", shell.write("i.csv", "item_id,title,updated_at\n" + rows))
    assert counts["items"] == {"read": 3, "repeated": 2, "known": 0, "loaded": 1}
    assert shell.rows("select title from raw.items") == [("Zed",)]


# --- what can't be loaded ---


def assert_nothing_loaded(shell):
    assert shell.rows("select (select count(*) from raw.events) + (select count(*) from raw.items)") == [(0,)]
    assert shell.rows("select status, error is not null from ml.job_runs") == [("failed", True)]


def test_a_missing_column_lists_what_is_there_and_what_is_needed(shell):
    code, said = shell("load", "--events", shell.write("e.csv", "Customer,item_id,event_at\nv,i,2026-01-01\n"))
    assert code == 2
    for word in (
        "e.csv has no column visitor_id",
        "Customer, item_id, event_at",
        "visitor_id, item_id, event_at",
        "event_id, user_id, event_type, source_session_id",
        "--map events.visitor_id=",
    ):
        assert word in said
    assert_nothing_loaded(shell)


GARBAGE = bytes(range(256)) * 8


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("e.csv", "", "e.csv is empty"),
        ("e.jsonl", "", "e.jsonl is empty"),
        ("e.csv", EVENTS, "e.csv holds no rows"),
        ("e.parquet", b"", "e.parquet"),
        ("e.parquet", b"PAR1", "e.parquet"),
        ("e.parquet", GARBAGE, "No magic bytes"),
        ("e.jsonl", '{"visitor_id": "v"}\n{"visitor_id"', "Malformed JSON"),
        ("e.csv", (EVENTS + "e,m\xfcller,i,view,2026-01-01\n").encode("latin-1"), "not utf-8"),
        ("e.csv.gz", b"not compressed", "e.csv.gz"),
        ("absent.csv", None, "No files found"),
        ("absent-*.parquet", None, "No files found"),
    ],
)
def test_an_unreadable_file_is_named_with_the_reason(shell, file, content, words):
    if content is not None:
        shell.write(file, content)
    code, said = shell("load", "--events", file)
    assert code == 1
    assert said.startswith("nextmart: ")
    assert file in said
    assert words in said
    assert "othing was loaded" in said
    assert "Traceback" not in said
    assert_nothing_loaded(shell)


@pytest.mark.parametrize("broken_line", ["v,i\n", "v,i,2026-01-01,too many\n"])
def test_a_broken_line_among_many_is_set_aside_and_loses_no_other_line(shell, broken_line):
    text = "visitor_id,item_id,event_at\n" + "v,i,2026-01-01\n" * 30_000 + broken_line
    counts = shell.load("--events", shell.write("e.csv", text))
    assert counts == {"events": {"read": 30_000, "repeated": 29_999, "known": 0, "loaded": 1, "unreadable": 1}}
    assert shell.rows("select table_name, file, line, raw_row from raw.unreadable_rows") == [
        ("events", "e.csv", 30_002, broken_line.rstrip())
    ]


@pytest.mark.parametrize("good_lines", [1, 50])
@pytest.mark.parametrize("broken_line", ["v,i\n", "v,i,2026-01-01,too many\n"])
def test_a_broken_line_among_few_refuses_the_file(shell, good_lines, broken_line):
    text = "visitor_id,item_id,event_at\n" + "v,i,2026-01-01\n" * good_lines + broken_line
    code, said = shell("load", "--events", shell.write("e.csv", text))
    assert code in (1, 2)
    assert "e.csv" in said
    assert "visitor_id,item_id,event_at" in said or f"Line: {good_lines + 2}" in said
    assert_nothing_loaded(shell)


def test_a_file_without_a_header_is_not_guessed_at(shell):
    code, said = shell("load", "--events", shell.write("e.csv", "v,i,2026-01-01\nw,j,2026-01-02\n"))
    assert code == 2
    assert "It has: v, i, 2026-01-01" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--map", "item_id=lower("], "syntax error"),
        (["--map", "item_id=no_such_column"], "no_such_column"),
        (["--map", "item_id=no_such_function(visitor_id)"], "no_such_function"),
        (["--map", "event_at=event_at::int"], "Could not convert"),
        (["--where-events", "visitor_id ="], "syntax error"),
        (["--where-events", "visitor = 'v'"], "visitor"),
        (["--where-events", "visitor_id = 'nobody'"], "holds no rows that --where keeps"),
    ],
)
def test_a_broken_expression_is_quoted_with_the_columns(shell, arguments, words):
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV), *arguments)
    assert code == 1
    assert words in said
    assert "holds no rows" in said or "event_id, visitor_id, item_id, event_type, event_at" in said
    assert_nothing_loaded(shell)


@pytest.mark.parametrize("name", ["events.xlsx", "events", "day/*"])
def test_an_unknown_ending_lists_the_known_ones(shell, name):
    code, said = shell("load", "--events", name)
    assert code == 2
    assert ".csv" in said
    assert ".parquet" in said


def test_nothing_to_load_is_wrong_usage(shell):
    code, said = shell("load")
    assert (code, "--events" in said) == (2, True)


def test_if_the_second_file_fails_nothing_of_the_first_is_kept(shell):
    shell.write("i.csv", ITEMS + "a,A,,,,1,,\n")
    shell.write("e.parquet", GARBAGE)
    code, _ = shell("load", "--items", "i.csv", "--events", "e.parquet")
    assert code == 1
    assert_nothing_loaded(shell)
    assert shell.load("--items", "i.csv")["items"]["loaded"] == 1


def test_a_users_own_view_is_left_alone(shell):
    with connect(shell.folder / "warehouse.duckdb") as connection:
        connection.execute("create schema raw; create view raw.events as select 'v' as visitor_id")
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV))
    assert code == 1
    assert "raw.events" in said


# --- the warehouse file ---


@pytest.fixture
def holder(shell):
    """Another process that holds the warehouse until its stdin closes."""
    program = "import duckdb, sys; c = duckdb.connect('warehouse.duckdb'); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=shell.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_a_held_warehouse_names_the_process(shell, holder):
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV))
    assert code == 1
    assert f"held by process {holder.pid} (" in said
    assert "--wait" in said


def test_wait_loads_once_the_warehouse_is_free(shell, holder):
    shell.write("e.csv", AS_CSV)
    threading.Timer(0.2, holder.stdin.close).start()
    assert shell.load("--events", "e.csv", "--wait", "20")["events"]["loaded"] == 2


def test_wait_ends(shell, holder):
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV), "--wait", "0.1")
    assert (code, str(holder.pid) in said) == (1, True)


@pytest.mark.parametrize("name", ["sessions.duckdb", "raw.duckdb", "ml.db"])
def test_a_file_called_like_a_schema_is_refused(shell, name):
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV), "--warehouse", name)
    assert code == 2
    assert name in said
    assert "warehouse.duckdb" in said
    assert not (shell.folder / name).exists()


def test_a_file_that_is_no_warehouse_is_left_alone(shell):
    shell.write("notes.duckdb", "my notes, no database" * 100)
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV), "--warehouse", "notes.duckdb")
    assert (code, "notes.duckdb" in said) == (1, True)
    assert (shell.folder / "notes.duckdb").read_text().startswith("my notes")


# --- settings ---


def test_settings_come_from_the_file_then_the_environment_then_the_option(shell):
    shell.write("e.csv", AS_CSV)
    shell.write("nextmart.toml", 'warehouse = "from_file.duckdb"\n')
    shell.load("--events", "e.csv")
    shell.monkeypatch.setenv("NEXTMART_WAREHOUSE", "from_environment.duckdb")
    shell.load("--events", "e.csv")
    shell.load("--events", "e.csv", "--warehouse", "from_option.duckdb")
    assert {path.stem for path in shell.folder.glob("*.duckdb")} == {"from_file", "from_environment", "from_option"}


@pytest.mark.parametrize(
    ("toml", "unknown", "nearest"),
    [
        ('warehose = "w.duckdb"', "warehose", "'warehouse'"),
        ("[vars]\nsession_gap_minute = 20", "session_gap_minute", "'session_gap_minutes'"),
        ("[vars]\nsequence_scop = 'session'", "sequence_scop", "'sequence_scope'"),
    ],
)
def test_an_unknown_setting_in_the_file_names_the_nearest(shell, toml, unknown, nearest):
    shell.write("nextmart.toml", toml)
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV))
    assert code == 2
    assert re.search(rf"'{unknown}'.*{nearest}", said, re.DOTALL)
    assert not list(shell.folder.glob("*.duckdb"))


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("NEXTMART_WAREHOSE", "w.duckdb", ["NEXTMART_WAREHOSE", "'NEXTMART_WAREHOUSE'"]),
        ("NEXTMART_VARS", '{"session_gap": 20}', ["'session_gap'", "'session_gap_minutes'"]),
        ("NEXTMART_SEED", "many", ["seed", "many"]),
    ],
)
def test_a_wrong_setting_in_the_environment_is_named(shell, variable, value, words):
    shell.monkeypatch.setenv(variable, value)
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV))
    assert code == 2
    for word in words:
        assert word in said


def test_a_broken_settings_file_is_named(shell):
    shell.write("nextmart.toml", "warehouse = ")
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV))
    assert (code, "nextmart.toml" in said) == (2, True)


def test_reports_for_people_and_for_machines_are_on_stdout_alone(shell):
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV))
    assert (code, shell.stdout) == (0, said)
    assert said.startswith("events: 2 loaded of 2 read (0 repeated, 0 known before)\n")
    code, said = shell("load", "--events", "e.csv", "--json")
    assert (code, shell.stdout) == (0, said)
    assert json.loads(shell.stdout)["status"] == "done"
