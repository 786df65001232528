"""`nextmart load`: files in every dialect, encoding and compression, folders, and what is said of refused files."""

import bz2
import gzip
import json
import re
import shlex
import sys
import zipfile

import pyarrow as pa
import pytest
from test_load import AS_CSV, EVENTS, ITEMS, LOADED, ROWS, Shell, assert_nothing_loaded

EVENT_ROWS = [tuple(row.values()) for row in ROWS]


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


def zipped(*names: str) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, AS_CSV)
    return buffer.getvalue()


def workbook(sheets: dict[str, list[list]]) -> bytes:
    """Return a minimal workbook of Excel: texts inline, whole numbers and decimals as numbers."""
    from io import BytesIO

    def cell(value):
        if isinstance(value, str):
            text = value.replace("&", "&amp;").replace("<", "&lt;")
            return f'<c t="inlineStr"><is><t>{text}</t></is></c>'
        return "<c/>" if value is None else f"<c><v>{value}</v></c>"

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    numbers = range(1, len(sheets) + 1)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in zip(numbers, sheets, strict=True))
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        + "".join(
            f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
        )
        + "</Relationships>",
    }
    for number, rows in zip(numbers, sheets.values(), strict=True):
        body = "".join("<row>" + "".join(map(cell, row)) + "</row>" for row in rows)
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'
        )
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


SHEET = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]


@pytest.mark.parametrize(
    ("name", "content", "arguments"),
    [
        ("events.txt", AS_CSV.replace(",", "|"), []),
        ("events.dat", AS_CSV.replace(",", "::"), []),
        ("events.log", AS_CSV.replace(",", "\t"), []),
        ("events.inter", AS_CSV.replace(",", "\t"), []),
        ("events.csv.bz2", bz2.compress(AS_CSV.encode()), []),
        ("events.csv.zip", zipped("events.csv"), []),
        ("events.CSV.GZ", gzip.compress(AS_CSV.encode(), mtime=0), []),
        ("events.csv.zst", pa.compress(AS_CSV.encode(), "zstd", asbytes=True), []),
        ("excel.csv", "sep=;\r\n" + AS_CSV.replace(",", ";").replace("\n", "\r\n"), []),
        ("old_mac.csv", AS_CSV.replace("\n", "\r"), []),
        ("mixed.csv", AS_CSV.replace("\n", "\r\n", 1), []),
        ("blank_lines.csv", "\n\n" + AS_CSV.replace("\n", "\n\n"), []),
        ("spaces.csv", AS_CSV.replace("event_id,visitor_id", " event_id , visitor_id"), []),
        ("colons.csv", AS_CSV.replace(",", "^"), ["--delimiter", "^"]),
        ("utf16.csv", AS_CSV.encode("utf-16"), ["--encoding", "utf-16"]),
        ("utf16le.csv.gz", gzip.compress(AS_CSV.encode("utf-16-le"), mtime=0), ["--encoding", "utf-16-le"]),
        ("utf16.jsonl", "\n".join(map(json.dumps, ROWS)).encode("utf-16"), ["--encoding", "utf-16"]),
        ("bom.jsonl", b"\xef\xbb\xbf" + "\n".join(map(json.dumps, ROWS)).encode(), []),
        ("events.jsonl.bz2", bz2.compress("\n".join(map(json.dumps, ROWS)).encode()), []),
        ("events.xlsx", workbook({"Events": SHEET, "Notes": []}), []),
        ("export", AS_CSV, ["--format", "csv"]),
        ("export.out", ROWS, ["--format", "json"]),
        ("no_header.csv", AS_CSV.partition("\n")[2], ["--no-header", "--columns", EVENTS.strip()]),
    ],
)
def test_every_dialect_gives_the_same_rows(shell, name, content, arguments):
    counts = shell.load("--events", shell.write(name, content), *arguments)
    assert counts == {"events": {"read": 2, "repeated": 0, "known": 0, "loaded": 2}}
    assert shell.rows(LOADED) == EVENT_ROWS


def test_numbers_of_a_workbook_are_ids_without_a_point(shell):
    rows = [["item_id", "title", "price"], [42, "Lamp & <shade>", 9.5], ["007", None, 3]]
    shell.load("--items", shell.write("i.xlsx", workbook({"Sheet1": rows})))
    assert shell.rows("select item_id, title, price from raw.items order by all") == [
        ("007", None, "3"),
        ("42", "Lamp & <shade>", "9.5"),
    ]


def test_a_folder_is_all_its_files_whatever_their_dialects(shell):
    first, second = AS_CSV.splitlines(keepends=True)[1:]
    shell.write("day/1/a.csv", EVENTS + first)
    shell.write("day/2/b.csv.gz", gzip.compress((EVENTS + second).replace(",", ";").encode()))
    shell.write("day/.hidden.csv", "not,loaded\n")
    shell.write("day/_SUCCESS", "")
    shell.write("day/empty.csv", "")
    shell.load("--events", "day")
    assert shell.rows(LOADED) == EVENT_ROWS


def test_a_sign_of_comments_is_never_guessed(shell):
    shell.load("--items", shell.write("i.csv", "item_id,title\n#7,a\n#8,b\nc,# c\n"))
    assert shell.rows("select item_id, title from raw.items order by all") == [("#7", "a"), ("#8", "b"), ("c", "# c")]


def test_a_field_of_three_megabytes(shell):
    shell.load("--items", shell.write("i.csv", "item_id,description\na," + "x" * 3_000_000 + "\nb,y\n"))
    assert shell.rows("select item_id, length(description) from raw.items order by all") == [("a", 3_000_000), ("b", 1)]


def test_a_column_that_only_late_json_lines_have_is_not_lost(shell):
    lines = [{"item_id": str(number)} for number in range(30_000)] + [{"item_id": "late", "title": "Lamp"}]
    shell.load("--items", shell.write("i.jsonl", lines))
    assert shell.rows("select item_id from raw.items where title = 'Lamp'") == [("late",)]


# --- refusals ---


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n"),
        ("ratings.dat", "1::1193::5::978300760\n1::661::3::978302109\n"),
        ("Video.txt", "A2,B00,5.0,1396569600\nA3,B01,3.0,1396569601\n"),
        ("snowplow.tsv", "shop\tweb\t2026-01-01 10:00:00.000\tpage_view\nshop\tweb\t2026-01-01 10:00:01.000\tx\n"),
    ],
)
def test_a_file_without_a_header_is_seen(shell, name, content):
    shell.write(name, content)
    code, said = shell("load", "--events", name, "--format", "csv")
    assert code == 2
    for word in (name, content.splitlines()[0], "--no-header --columns visitor_id,item_id,event_at,column3"):
        assert word in said
    assert_nothing_loaded(shell)
    shell.load("--events", name, "--format", "csv", "--no-header", "--columns", "visitor_id,item_id,kind,event_at")
    assert shell.rows("select count(*) from raw.events") == [(2,)]


LOG = """83.149.9.216 - - [28/Mar/2019:10:05:56 +0000] "GET /lamp HTTP/1.1" 200 3638 "-" "Mozilla/5.0 (X11; Ubuntu)"
93.114.45.13 - anna [28/Mar/2019:12:05:04 +0200] "GET /mug?a=b HTTP/1.1" 200 1015 "http://shop/" "-"
"""


def test_a_web_servers_log_is_seen_and_loads_as_the_message_says(shell):
    code, said = shell("load", "--events", shell.write("access.log", LOG))
    assert code == 2
    options = re.search("(--no-header --columns .*)", said)[1]
    shell.load("--events", "access.log", *shlex.split(options))
    assert shell.rows("select visitor_id, item_id, event_at, user_agent from raw.events order by all") == [
        ("83.149.9.216", "/lamp", "2019-03-28 10:05:56+00", "Mozilla/5.0 (X11; Ubuntu)"),
        ("93.114.45.13", "/mug?a=b", "2019-03-28 10:05:04+00", "-"),
    ]


@pytest.mark.parametrize(("before", "line"), [("18800\n92834\n", 3), ("All visits\n\n", 3), ("\ufeffReport 2026\n", 2)])
def test_lines_before_the_table_are_seen(shell, before, line):
    rows = "v\ti\t2026-01-01\n" * 4
    events = shell.write("e.tsv", f"{before}visitor_id\titem_id\tevent_at\n{rows}")
    code, said = shell("load", "--events", events)
    assert (code, f"line {line} and those after it have columns" in said) == (2, True)
    assert f"tail -n +{line} e.tsv > table.tsv" in said


def test_the_delimiter_of_a_file_without_header_is_the_one_that_gives_its_columns(shell):
    shell.monkeypatch.setenv("NEXTMART_MAX_UNREADABLE_SHARE", "0.5")
    shell.write("e.dat", "18800\n" + "v\ti,j;k\t2026-01-01\n" * 3 + "w\ti\t2026-01-01\n")
    counts = shell.load("--events", "e.dat", "--no-header", "--columns", "visitor_id,item_id,event_at")["events"]
    assert (counts["read"], counts["unreadable"]) == (4, 1)
    assert shell.rows("select visitor_id, item_id from raw.events order by all") == [("v", "i,j;k"), ("w", "i")]


@pytest.mark.parametrize("name", ["ml-100k.item", "u.data", "u.user"])
def test_endings_of_public_data_sets_are_text(shell, name):
    assert shell.load("--items", shell.write(name, "item_id\ttitle\na\tLamp\n"))["items"]["loaded"] == 1


@pytest.mark.parametrize("name", ["feed.xml", "old.xls"])
def test_a_format_that_is_not_read_says_what_to_export(shell, name):
    code, said = shell("load", "--items", shell.write(name, "<rss/>"))
    assert (code, "files are not read. Export or convert the rows to CSV" in said) == (2, True)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (AS_CSV.encode("utf-16"), "utf-16"),
        (AS_CSV.encode("utf-16-le"), "utf-16-le"),
        (AS_CSV.replace("event_type", "größe").encode("latin-1"), "cp1252"),
        (AS_CSV.replace("view", "müll").encode("latin-1"), "cp1252"),
    ],
)
def test_another_encoding_is_named(shell, content, encoding):
    code, said = shell("load", "--events", shell.write("e.csv", content))
    assert code in (1, 2)
    assert f"--encoding {encoding}" in said
    assert "e.csv" in said
    assert_nothing_loaded(shell)
    shell.load("--events", "e.csv", "--encoding", encoding)
    assert shell.rows("select count(*) from raw.events") == [(2,)]


def test_bytes_that_the_named_encoding_lacks_are_named(shell):
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV.encode() + b"\x81"), "--encoding", "cp1252")
    assert (code, "e.csv, line 4: byte 0x81 is no text in cp1252" in said) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--no-header"], "--columns"),
        (["--columns", "a,b"], "--no-header"),
        (["--no-header", "--columns", "a,A"], "each column once"),
        (["--format", "exel"], "xlsx"),
        (["--encoding", "latin"], "utf-8"),
        (["--encoding", "ltin-1"], "did you mean 'latin-1'"),
        (["--delimiter", "''''''"], "one to four"),
    ],
)
def test_a_wrong_option_is_named_with_what_to_type(shell, arguments, words):
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV), *arguments)
    if arguments != ["--encoding", "latin"]:  # Python's other name of latin-1
        assert (code, words in said) == (2, True), said


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("two.zip", zipped("a.csv", "b.csv"), "two.zip"),
        ("two.csv.zip", zipped("a.csv", "b.csv"), "holds 2 files"),
        ("broken.csv.zip", b"PK", "broken.csv.zip"),
        ("broken.csv.bz2", b"BZh9", "broken.csv.bz2"),
        ("broken.csv.zst", b"\x00" * 9, "broken.csv.zst"),
        ("broken.xlsx", b"PK", "broken.xlsx"),
        ("sheets.xlsx", workbook({"A": SHEET, "B": SHEET}), "A, B"),
    ],
)
def test_an_archive_or_workbook_that_can_not_be_read_is_named(shell, name, content, words):
    code, said = shell("load", "--events", shell.write(name, content))
    assert code in (1, 2)
    assert words in said
    assert "othing was loaded" in said
    assert_nothing_loaded(shell)


def test_a_workbook_without_its_reader_says_what_to_install(shell):
    shell.monkeypatch.setitem(sys.modules, "python_calamine", None)
    code, said = shell("load", "--events", shell.write("e.xlsx", workbook({"A": SHEET})))
    assert (code, "pip install 'nextmart[excel]'" in said) == (2, True)


def test_a_folder_of_several_formats_is_refused(shell):
    shell.write("day/a.csv", AS_CSV)
    shell.write("day/b.jsonl", ROWS)
    code, said = shell("load", "--events", "day")
    assert (code, "several formats" in said) == (2, True)


# --- rows that are set aside ---

GOOD_JSON = [json.dumps({"item_id": str(number), "title": "ß"}) for number in range(200)]
GOOD_CSV = [f'{number},"Lamp, ß"' for number in range(200)]


@pytest.mark.parametrize(
    ("name", "bad", "reason"),
    [
        ("i.csv", b"bad", "1 column, not 2"),
        ("i.csv", b"bad,A,B", "3 columns, not 2"),
        ("i.csv", b'bad,"A', "nothing closes it"),
        ("i.csv", b'bad,"A" B', "text follows a closing quote"),
        ("i.csv", b"bad,M\xfcller", "not utf-8: byte 0xfc at position 6"),
        ("i.csv", b"bad,\xed\xa0\x80", "not utf-8"),
        ("i.jsonl", b'{"item_id": "bad"', "Malformed JSON"),
        ("i.jsonl", b'{"item_id": "\\ud800"}', "half a character"),
        ("i.jsonl", b'{"item_id": "M\xfcller"}', "not utf-8"),
        ("i.jsonl", b'["bad"]', "no JSON object"),
    ],
)
def test_a_bad_row_is_set_aside_with_file_line_and_reason(shell, name, bad, reason):
    lines = [line.encode() for line in (GOOD_JSON if name.endswith("jsonl") else ["item_id,title", *GOOD_CSV])]
    lines.insert(100, bad)
    shell.write(name, b"\n".join(lines))
    for loaded in (200, 0):  # a second load sets nothing aside again
        code, said = shell("load", "--items", name)
        assert code == 0, said
        assert f"items: {loaded} loaded of 200 read" in said
        assert "1 unreadable and set aside" in said
        assert f"{name}, line 101: " in said
        assert reason in said
    raw_row = bad.decode(errors="backslashreplace")
    query = "select table_name, file, line, raw_row, contains(reason, ?) from raw.unreadable_rows"
    assert shell.rows(query.replace("?", f"'{reason}'")) == [("items", name, 101, raw_row, True)]
    assert shell.rows("select count(*) from raw.items where title like '%ß%'") == [(200,)]


def test_the_share_is_a_setting(shell):
    shell.write("i.csv", ITEMS.split(",")[0] + ",title\n" + "a,b\n" * 9 + "a,b,c\n")
    code, said = shell("load", "--items", "i.csv")
    assert (code, "i.csv, line 11: 3 columns, not 2" in said) == (1, True)
    assert_nothing_loaded(shell)
    shell.write("nextmart.toml", "max_unreadable_share = 0.1\n")
    assert shell.load("--items", "i.csv")["items"]["unreadable"] == 1


def test_a_users_mistake_in_sql_is_no_unreadable_row(shell):
    code, said = shell("load", "--events", shell.write("e.csv", AS_CSV), "--where-events", "error('my own')")
    assert (code, "my own" in said) == (1, True)
    assert_nothing_loaded(shell)


def test_forgetting_a_visitor_forgets_the_unreadable_rows_too(shell):
    good = "".join(f"v{number},i,2026-01-01\n" for number in range(500))
    broken = ["v7,i", '{"v7": 1},x,x,x', "v77,i", "x,v7"]
    shell.write("e.csv", "visitor_id,item_id,event_at\n" + good + "\n".join(broken))
    shell.load("--events", "e.csv")
    assert shell.rows("select count(*) from raw.unreadable_rows") == [(4,)]
    code, said = shell("forget", "--visitor", "v7")
    assert code == 0, said
    assert shell.rows("select raw_row from raw.unreadable_rows") == [("v77,i",)]
