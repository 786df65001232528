"""`nextmart load` of feeds: what of a feed is new, what is remembered of its files, and what is said."""

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from test_load import Shell

EVENTS = "visitor_id,item_id,event_at\n"


class FeedShell(Shell):
    def settings(self, **feeds: str) -> None:
        """Write ``nextmart.toml`` with feeds: name -> the lines of its table."""
        self.write("nextmart.toml", "".join(f"[feeds.{name}]\n{lines}\n" for name, lines in feeds.items()))

    def events(self, name: str, *items: str, day: int = 1) -> str:
        return self.write(name, EVENTS + "".join(f"v,{item},2026-01-{day:02} 10:00:00\n" for item in items))

    def items(self, name: str, *items: str) -> str:
        return self.write(name, "item_id,title\n" + "".join(f"{item},Thing\n" for item in items))

    def says(self, *arguments: str, code: int = 0) -> str:
        exit_code, said = self("load", *arguments)
        assert exit_code == code, said
        return said

    def remembered(self, columns: str) -> list[tuple]:
        return self.rows(f"select {columns} from raw.loaded_files order by loaded_at, path")

    def available(self) -> str:
        newest = "row_number() over (partition by item_id order by loaded_at desc) = 1"
        rows = self.rows(f"select item_id from raw.items qualify {newest} and available is distinct from 'false'")
        return "".join(sorted(item for (item,) in rows))


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> FeedShell:
    monkeypatch.chdir(tmp_path)
    return FeedShell(tmp_path, monkeypatch, capsys)


CLICKS = 'kind = "events"\nfiles = "events/*.csv"'


# --- what is new ---


def test_what_is_new_of_every_feed_is_loaded_and_remembered(shell):
    shell.settings(clicks=CLICKS, products='kind = "items"\nfiles = "items.csv"', events='files = "no/*.csv"')
    shell.items("items.csv", "a", "b")
    shell.events("events/1.csv", "a", "b")
    said = shell.says()
    counts = "2 loaded of 2 read (0 repeated, 0 known before)"
    assert said.startswith(f"feed events: no file matches no/*.csv\nfeed products: {counts}\n  files     items.csv\n")
    assert f"feed clicks: {counts}\n  files     events/1.csv\n" in said
    assert "100 % of the events are on items of the catalogue" in said
    assert shell.remembered("feed, path, rows_read, rows_loaded, rows_unreadable") == [
        ("products", "items.csv", 2, 2, 0), ("clicks", "events/1.csv", 2, 2, 0),
    ]  # fmt: skip
    [(size, modified_at, hash_, loaded_at)] = shell.rows(
        "select bytes, modified_at, sha256, loaded_at from raw.loaded_files where feed = 'clicks'"
    )
    found = Path("events/1.csv").stat()
    assert (size, len(hash_)) == (found.st_size, 64)
    assert abs((modified_at - datetime.fromtimestamp(found.st_mtime, UTC)).total_seconds()) < 0.001
    assert shell.rows("select distinct loaded_at from raw.events") == [(loaded_at,)]

    said = shell.says()
    newest = f"the newest is events/1.csv, loaded {loaded_at:%Y-%m-%d %H:%M} UTC\n"
    assert f"feed clicks: no new file; {newest}" in said
    assert said.endswith("\nnothing is new\n")
    assert shell.rows("select status from ml.job_runs order by started_at") == [("done",), ("unchanged",)]

    shell.events("events/2.csv", "a", day=2)
    shell.events("events/3.csv", "a", "b", day=2)
    detail = shell.load("clicks")
    assert detail["events"] == {"read": 3, "repeated": 1, "known": 0, "loaded": 2}
    assert detail["feeds"] == {"clicks": {"files": ["events/2.csv", "events/3.csv"], "notes": []}}
    assert shell.remembered("path, rows_read, rows_loaded")[2:] == [("events/2.csv", 1, 1), ("events/3.csv", 2, 1)]


def test_a_changed_file_is_read_again_and_a_touched_one_is_not(shell):
    shell.settings(clicks=CLICKS)
    file = Path(shell.events("events/1.csv", "a"))
    shell.load()
    shell.events("events/1.csv", "b")  # of the same size
    os.utime(file, (1, 1))
    assert shell.load()["events"] == {"read": 1, "repeated": 0, "known": 0, "loaded": 1}
    os.utime(file, (2, 2))
    assert "no new file" in shell.says()
    assert shell.remembered("modified_at")[-1] == (datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC),)
    shell.monkeypatch.setattr("hashlib.file_digest", None)  # size and time are the known ones: nothing is read
    assert "no new file" in shell.says()
    shell.monkeypatch.undo()
    shell.monkeypatch.chdir(shell.folder)
    shell.write("events/copy.csv", file.read_text() + "v,c,2026-01-03\n")
    assert shell.load()["events"] == {"read": 2, "repeated": 0, "known": 1, "loaded": 1}
    assert shell.remembered("path, rows_read, rows_loaded")[2:] == [("events/copy.csv", 2, 1)]


def test_files_are_folders_globs_and_lists_in_the_order_of_numbers(shell):
    shell.settings(stock='kind = "items"\nfiles = ["stock", "more_*.csv"]')
    for name, available in (("stock/10.csv", 0), ("stock/9.csv", 1), ("more_1.csv", 1), ("stock/_SUCCESS", 0)):
        shell.write(name, f"item_id,available\na,{available}\nb{name[:2]},1\n")
    shell.load()
    assert shell.remembered("path") == [("more_1.csv",), ("stock/9.csv",), ("stock/10.csv",)]
    newest = "select available from raw.items where item_id = 'a' order by loaded_at desc limit 1"
    assert shell.rows(newest) == [("0",)]


def test_rows_that_cannot_be_read_are_counted_for_each_file(shell):
    shell.settings(clicks=CLICKS)
    for day in (1, 2):
        good = "".join(f"v{n},a,2026-01-{day:02}\n" for n in range(199))
        shell.write(f"events/{day}.csv", EVENTS + good + "v,a\n" * day)
    said = shell.says()
    assert "feed clicks, 2 files: 3 rows can't be read" in said
    assert "events/2.csv, line 201: " in said
    assert "398 loaded of 398 read (0 repeated, 0 known before, 3 unreadable and set aside)" in said
    counted = shell.remembered("path, rows_read, rows_loaded, rows_unreadable")
    assert counted == [("events/1.csv", 199, 199, 1), ("events/2.csv", 199, 199, 2)]
    assert shell.rows("select file, line from raw.unreadable_rows order by all") == [
        ("events/1.csv", 201), ("events/2.csv", 201), ("events/2.csv", 202),
    ]  # fmt: skip


def test_a_definition_that_has_changed_loads_the_files_again_and_says_why(shell):
    shell.settings(clicks=CLICKS)
    shell.events("events/1.csv", "a")
    shell.events("events/2.csv", "b")
    shell.load()
    definition = CLICKS + """\nmap.event_type = "'cart'"\nrequired = true"""
    shell.settings(clicks=definition)
    said = shell.says()
    assert (
        "feed clicks: [feeds.clicks] has changed (map) since 2 files were loaded, so that they are loaded again" in said
    )
    assert "events/1.csv, events/2.csv. Events that the old settings made stay in raw.events" in said
    types = "select event_type, count(*) from raw.events group by all order by all"
    assert shell.rows(types) == [("cart", 2), ("view", 2)]
    assert "no new file" in shell.says(code=1)
    # as docs/loading.md says
    shell.rows("delete from raw.events where loaded_at in (select loaded_at from raw.loaded_files "
               "where feed = 'clicks'); delete from raw.loaded_files where feed = 'clicks'")  # fmt: skip
    shell.load()
    assert shell.rows(types) == [("cart", 2)]


# --- days without a file ---


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("other.csv", "", "feed clicks: no file matches events/*.csv\nnothing is new\n"),
        ("events/2.csv", "", "feed clicks: events/2.csv has no rows\n"),
        ("events/2.csv", EVENTS, "feed clicks: events/2.csv has no rows\n"),
    ],
)
def test_a_day_without_rows_is_said_and_fails_only_if_rows_are_required(shell, name, content, said):
    shell.write(name, content)
    shell.settings(clicks=CLICKS)
    assert shell.says("--check").startswith(said.partition("\n")[0])
    shell.settings(clicks=CLICKS + "\nrequired = true", products='kind = "items"\nfiles = "items.csv"')
    shell.items("items.csv", "a")
    failed = shell.says(code=1)
    assert "feed clicks: " in failed
    assert "required = true, so nothing was loaded" in failed
    assert shell.remembered("path") == shell.rows("from raw.items") == []
    shell.settings(clicks=CLICKS)
    assert shell.says() == said if "nothing" in said else shell.says().startswith(said)
    assert shell.remembered("path, rows_read") == [(name, 0)] * ("events" in name)
    shell.events("events/2.csv", "a")
    assert shell.load()["events"]["loaded"] == 1


@pytest.mark.parametrize(
    ("name", "content", "keys"),
    [
        ("events/2.json", b"[]", ""),
        ("events/2.json", b" [\n]\n", ""),
        ("events/2.jsonl", b"\n", ""),
        ("events/2.jsonl.gz", gzip.compress(b"", mtime=0), ""),
        ("events/2.csv.gz", gzip.compress(b"", mtime=0), ""),
        ("events/2.dat", b"", 'preset = "movielens"'),
        ("events/2.tsv", b"\n", 'preset = "snowplow"'),
        ("events/2.json", b"[]", 'preset = "ga4"'),
    ],
)
def test_a_file_of_any_format_without_rows_is_no_failure(shell, name, content, keys):
    path = Path(name)
    path.parent.mkdir()
    path.write_bytes(content)
    shell.settings(clicks=f'kind = "events"\nfiles = "events/"\n{keys}')
    assert shell.says() == f"feed clicks: {name} has no rows\nnothing is new\n"
    assert shell.remembered("path, rows_read") == [(name, 0)]


def test_rows_that_the_condition_leaves_out_are_no_failure(shell):
    shell.settings(clicks=CLICKS + """\nwhere = "item_id = 'a'" """)
    shell.events("events/1.csv", "b")
    assert "feed clicks: events/1.csv has no rows that `where` keeps" in shell.says()


def test_a_feed_of_an_attached_table_brings_its_new_rows(shell):
    with duckdb.connect("shop.duckdb") as shop:
        shop.execute("create table clicks (visitor_id varchar, item_id varchar, event_at timestamp)")
    settings = '[attach.shop]\ntype = "duckdb"\npath = "shop.duckdb"\n[feeds.events]\ntable = "shop.clicks"\n'
    shell.write("nextmart.toml", settings + "required = true\n")
    assert "feed events: its table has no rows. The feed says required = true" in shell.says(code=1)
    shell.write("nextmart.toml", settings)
    assert "feed events: the table shop.clicks has no rows\n" in shell.says()
    with duckdb.connect("shop.duckdb") as shop:
        shop.execute("insert into clicks values ('v', 'a', '2026-01-01'), ('v', 'b', '2026-01-01')")
    assert shell.load()["events"] == {"read": 2, "repeated": 0, "known": 0, "loaded": 2}
    assert "feed events: 0 loaded of 2 read (0 repeated, 2 known before)\n  times" in shell.says("events")
    assert shell.remembered("path") == []


# --- the whole catalogue ---


def test_of_several_new_lists_of_the_catalogue_the_last_says_what_is_withdrawn(shell):
    shell.settings(products='kind = "items"\nfiles = "items_*.csv"\ncomplete = true')
    shell.items("items_2026-11-9.csv", *"abcdefgh")
    shell.items("items_2026-11-10.csv", *"bcdefghi")
    assert shell.load()["items"] == {"read": 16, "repeated": 0, "known": 7, "loaded": 9, "withdrawn": 1}
    assert shell.available() == "bcdefghi"
    shell.items("items_2026-11-11.csv", *"cdefghijk")
    assert "9 read (0 repeated, 7 known before), 1 withdrawn\n" in shell.says()
    assert shell.available() == "cdefghijk"
    shell.items("items_2026-11-9.csv", *"abcdefghij")  # an old list that changes brings nothing back
    Path("items_2026-11-10.csv").unlink()  # and one that vanishes withdraws nothing
    assert "newer list of the whole catalogue was loaded before: items_2026-11-9.csv." in shell.says()
    assert shell.available() == "cdefghijk"
    shell.write("items_2026-11-12.csv", "")
    shell.load()
    shell.items("items_2026-11-12.csv", "c")
    assert "feed products: the complete feed of items lacks 8 of the 9 items" in shell.says(code=1)
    shell.says("--allow-mass-withdrawal")
    assert shell.available() == "c"


def test_lists_of_another_place_do_not_stand_in_the_order_of_the_old_ones(shell):
    shell.settings(products='kind = "items"\nfiles = "old/*.csv"\ncomplete = true')
    shell.items("old/1.csv", *"abcdef")
    shell.load()
    shell.settings(products='kind = "items"\nfiles = "new/*.csv"\ncomplete = true')
    shell.items("new/1.csv", *"bcdef")
    assert shell.load()["items"]["withdrawn"] == 1


@pytest.mark.parametrize(
    ("files", "ending"),
    [("${DUMPS}/lists/*/", "/"), ("${DUMPS}/*/*/*.csv", "/"), ("${DUMPS}/lists/**/*.csv", "//")],
)
def test_an_old_list_is_left_out_however_the_folder_is_written(shell, monkeypatch, files, ending):
    monkeypatch.setenv("DUMPS", f"{Path.cwd()}{ending}")
    shell.settings(products=f'kind = "items"\nfiles = "{files}"\ncomplete = true')
    shell.items("lists/2/all.csv", *"abcdef")
    shell.load()
    assert shell.remembered("path")[0][0].startswith("${DUMPS}/lists/2/")
    shell.items("lists/1/all.csv", *"bcdef")
    assert "left out because a newer list of the whole catalogue was loaded before" in shell.says()
    assert shell.available() == "abcdef"


def test_a_list_that_lies_higher_than_the_stars_of_a_glob_is_left_out_too(shell):
    shell.settings(products='kind = "items"\nfiles = "lists/**/*.csv"\ncomplete = true')
    shell.items("lists/2.csv", *"abcdef")
    shell.load()
    shell.items("lists/1.csv", *"bcdef")
    assert "left out because a newer list of the whole catalogue was loaded before" in shell.says()
    assert shell.available() == "abcdef"


def test_the_files_of_a_folder_are_one_list_and_are_loaded_together(shell):
    shell.settings(products='kind = "items"\nfiles = "dumps/*/"\ncomplete = true')
    shell.items("dumps/1/part_0.csv", *"abcdef")
    shell.items("dumps/1/part_1.csv", "g")
    shell.items("dumps/2/part_0.csv", *"bcdef")
    shell.items("dumps/2/part_1.csv", "g")
    assert shell.load()["items"]["withdrawn"] == 1
    assert shell.available() == "bcdefg"
    shell.items("dumps/2/part_1.csv", "h")  # the other part has not changed, and belongs to the list
    assert shell.load()["items"] == {"read": 6, "repeated": 0, "known": 5, "loaded": 1, "withdrawn": 1}
    assert shell.available() == "bcdefh"


def test_parts_that_are_taken_for_lists_of_the_catalogue_are_refused(shell):
    shell.settings(products='kind = "items"\nfiles = "part_*.csv"\ncomplete = true')
    shell.items("part_0.csv", "a")
    shell.items("part_1.csv", *"bcdefghijk")
    assert "are they parts of one list? Put the parts of a list into a folder" in shell.says(code=1)
    assert shell.remembered("path") == shell.rows("from raw.items") == []


def test_by_another_definition_only_the_newest_list_is_read_again(shell):
    feed = 'kind = "items"\nfiles = "items_*.csv"\ncomplete = true'
    shell.settings(products=feed)
    shell.items("items_1.csv", *"abcdef")
    shell.items("items_2.csv", *"bcdef")
    shell.load()
    shell.settings(products=feed + "\nmap.brand = \"'Acme'\"")
    assert "since 1 file was loaded, so that it is loaded again: items_2.csv\n" in shell.says()
    assert shell.available() == "bcdef"
    assert "no new file" in shell.says()


# --- what is refused ---

E = 'kind = "events"\nfiles = "e.csv"'


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ('kind = "events"\nfile = "e.csv"', "unknown key 'file': did you mean 'files'?"),
        ('files = "e.csv"', "the key 'kind' is missing"),
        ('kind = "event"\nfiles = "e.csv"', "kind = 'event': did you mean 'events'?"),
        ('kind = "events"', "say where the rows are"),
        (E + '\ntable = "a.b"', "say where the rows are"),
        ('kind = "events"\nfiles = ["e.csv", ""]', "say where the rows are"),
        ('kind = "events"\nfiles = 3', "files = 3: input should be a valid string, or input should be a valid list"),
        ('kind = "events"\nfiles = "s3://key:secret@b/f"', "files: feeds read files of this machine, not s3://…"),
        (E + '\nmap.visitor = "v"', "map: nextmart has no column 'visitor' of events; did you mean 'visitor_id'?"),
        (E + '\nmap.visitor_id = ""', "map.visitor_id is empty"),
        (E + "\nmap.visitor_id = 3", "map.visitor_id = 3: input should be a valid string"),
        (E + '\nwhere = ""', "where is empty"),
        (E + '\nformat = "cvs"', "--format cvs: did you mean 'csv'?"),
        (E + "\ncomplete = true", "complete = true: only items"),
        ('kind = "items"\nfiles = ["a", "b"]\ncomplete = true', "complete = true needs files with one path"),
        ('kind = "events"\nfiles = "${NO_FOLDER}/e"', 'files = "${NO_FOLDER}/e": the environment has no variable'),
        (f'kind = "events"\nfiles = "{"x" * 300}"', "can't look for xxx"),
        (E + '\nmap.item_id = "lower("', "can't read e.csv: --map item_id=lower("),
        (E + '\nmap.item_id = "a, b"', 'below [feeds.f]: map = {our_column = "their_column"}'),
        (E + '\ntime_format = "%d"', 'below [feeds.f]: time_format = "%d.%m.%Y %H:%M"'),
    ],
)
def test_a_wrong_feed_is_refused_by_name_with_what_to_write(shell, feed, said):
    shell.settings(f=feed)
    shell.events("e.csv", "a")
    code, found = shell("load")
    assert found.startswith("nextmart: feed f: ")
    assert said in found
    assert "secret" not in found
    assert code in (1, 2)
    assert not Path("warehouse.duckdb").exists() or shell.rows("from raw.events") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clocks"], "there is no feed 'clocks': did you mean 'clicks'?"),
        (["clicks", "--events", "e.csv"], "--events can't be combined with names of feeds (clicks)"),
        (["clicks", "--map", "a=b", "--complete"], "--map, --complete can't be combined with names of feeds"),
        (["--time-format", "%Y"], "--time-format says how files are read: add --events FILE or --items FILE"),
    ],
)
def test_options_that_contradict_feeds_are_refused_with_what_to_type(shell, arguments, said):
    shell.settings(clicks=CLICKS)
    assert said in shell.says(*arguments, code=2)
    assert not Path("warehouse.duckdb").exists()


def test_without_feeds_and_files_the_load_says_how_to_name_either(shell):
    assert "--events FILE, --items FILE, or both; or describe feeds" in shell.says(code=2)
    assert "there is no feed 'e.csv'" in shell.says("e.csv", code=2)


def test_two_feeds_can_not_both_be_the_whole_catalogue(shell):
    feed = 'kind = "items"\nfiles = "items.csv"\ncomplete = true'
    shell.settings(a=feed, b=feed)
    assert "feeds a and b: complete = true in both" in shell.says(code=2)


def test_an_error_in_one_feed_leaves_nothing_loaded_of_the_others(shell):
    shell.settings(clicks=CLICKS, products='kind = "items"\nfiles = "items.csv"')
    shell.items("items.csv", "a")
    shell.write("events/1.csv", "visitor,item_id,event_at\nv,a,2026-01-01\n")
    assert "feed clicks: events/1.csv has no column visitor_id" in shell.says(code=2)
    assert shell.remembered("path") == shell.rows("from raw.items") == []


# --- secrets, checks, status ---


def test_values_of_variables_are_in_no_message_and_no_table(shell):
    shell.monkeypatch.setenv("FOLDER", f"{shell.folder}/pass word")
    shell.monkeypatch.setenv("DAY", "2026-01-31")
    shell.settings(clicks='kind = "events"\nfiles = "${FOLDER}/*/${DAY}.csv"\ntime_format = "%d/%m/%Y"')
    path = "pass word/x/2026-01-31.csv"
    long = EVENTS + "v,a,31/01/2026\n" * 199
    shell.write(path, long + "v,a\n")
    said = shell.says()
    said += shell.says()
    shell.write(path, EVENTS + "v\n" * 9)
    said += shell.says(code=1)
    shell.write("pass word/x/2026-01-31.csv", b"\xff\xfe\x00")
    said += shell.says(code=2)
    said += shell("status")[1]
    assert said.count("${FOLDER}/x/${DAY}.csv") >= 5
    tables = [f"from {table}" for (table,) in shell.rows(
        "select schema_name || '.' || table_name from duckdb_tables() where schema_name in ('raw', 'ml')"
    )]  # fmt: skip
    kept = said + json.dumps([shell.rows(query) for query in tables], default=str)
    assert "${FOLDER}/x/${DAY}.csv" in kept
    assert "pass word" not in kept
    assert "2026-01-31.csv" not in kept
    assert shell.rows("select file from raw.unreadable_rows") == [("${FOLDER}/x/${DAY}.csv",)]


def test_a_check_says_what_would_be_loaded_and_remembers_nothing(shell):
    shell.settings(clicks=CLICKS)
    shell.events("events/1.csv", "a")
    said = "feed clicks: 1 would be loaded of 1 read"
    assert said in shell.says("--check")
    assert not Path("warehouse.duckdb").exists()
    shell.load()
    shell.events("events/2.csv", "b")
    assert said in shell.says("--check", "clicks")
    assert said in shell.says("--check")
    assert shell.remembered("path") == [("events/1.csv",)]


def test_a_warehouse_of_before_learns_to_remember_files(shell):
    shell.settings(clicks=CLICKS)
    shell.load("--events", shell.events("events/1.csv", "a"))
    shell.rows("drop table raw.loaded_files")
    assert shell.load()["events"] == {"read": 1, "repeated": 0, "known": 1, "loaded": 0}
    assert shell.remembered("path, rows_read, rows_loaded") == [("events/1.csv", 1, 0)]


def test_the_status_shows_each_feed_and_the_files_that_are_gone(shell):
    shell.settings(clicks=CLICKS, sold='kind = "events"\nfiles = "${SOLD}/*.csv"', shop='kind = "items"\ntable = "s.t"')
    shell.monkeypatch.setenv("SOLD", "sold")
    for name in ("events/1.csv", "events/2.csv", "events/10.csv", "sold/1.csv"):
        shell.events(name, "a", "b", day=int(name[-5]) + 1)
    shell.load("clicks", "sold")
    for name in ("events/1.csv", "sold/1.csv"):
        Path(name).unlink()
    code, said = shell("status")
    assert code == 0
    said = " ".join(said.split())
    assert "feed clicks 6 rows of 3 files, newest events/10.csv, loaded 20" in said
    assert "1 of them can't be found: events/1.csv" in said
    assert "feed sold 0 rows of 1 file, newest ${SOLD}/1.csv" in said
    assert "1 of them can't be found: ${SOLD}/1.csv" in said
    assert "feed shop table s.t" in said
    shell.monkeypatch.delenv("SOLD")
    code, said = shell("status", "--json")
    states = {state.pop("feed"): state for state in json.loads(shell.stdout)["feeds"]}
    assert states["clicks"].pop("newest_loaded_at").startswith("20")
    assert states["clicks"] == {
        "kind": "events", "table": None, "files": 3, "newest_file": "events/10.csv", "rows_loaded": 6, "missing": 1,
        "missing_files": ["events/1.csv"], "problem": None,
    }  # fmt: skip
    assert "the environment has no variable SOLD" in states["sold"]["problem"]
