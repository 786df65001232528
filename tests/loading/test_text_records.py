"""Which lines make up a record, and how reading goes on after a broken one."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.loading.text_dialects import dialect_of_text, has_no_header, likely_encoding
from jobs.loading.text_records import RecordReader, split_fields

BROKEN = "broken"


def records(text: str, delimiter: str = ",", width: int = 2) -> list:
    lines = text.encode("utf-8", errors="surrogateescape").splitlines(keepends=True)
    read = RecordReader(lines, delimiter, width, 1)
    return [
        (
            record.first_line_number,
            BROKEN
            if record.unreadable_reason
            else record.parsed_fields or split_fields(record.raw_bytes.decode(), delimiter)[0],
        )
        for record in read
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n"c","d"\n', [(1, ["a", "b"]), (2, ["c", "d"])]),
        ('"a\nb",c\nd,e\n', [(1, ["a\nb", "c"]), (3, ["d", "e"])]),
        ('5" tv,b\n', [(1, ['5" tv', "b"])]),
        ('"a"" b",c\n', [(1, ['a" b', "c"])]),
        (' "a" , b\n', [(1, ["a", " b"])]),
        ("a,b,\nc,d,,\n", [(1, ["a", "b"]), (2, ["c", "d"])]),
        ("a,b\n\nc,d", [(1, ["a", "b"]), (3, ["c", "d"])]),
        ("a,b,c\nd\ne,f\n", [(1, BROKEN), (2, BROKEN), (3, ["e", "f"])]),
        # an unclosed quote breaks its own line alone
        ('a,"b\nc,"d"\ne,f\n', [(1, BROKEN), (2, ["c", "d"]), (3, ["e", "f"])]),
        ('a,"b\nc,d\n', [(1, BROKEN), (2, ["c", "d"])]),
        # a broken record of two lines leaves no half of it as a row
        ('"a\nb" x,c\nd,e\n', [(1, BROKEN), (3, ["d", "e"])]),
        ('a,"b "x" y\nc",d\ne,f\n', [(1, BROKEN), (2, BROKEN), (3, ["e", "f"])]),
        ("a,\udcfc\nb,c\n", [(1, BROKEN), (2, ["b", "c"])]),
        ('"a\nb,c\n', [(1, BROKEN), (2, ["b", "c"])]),
        ('a,"b\n"c","d"\n', [(1, BROKEN), (2, ["c", "d"])]),
    ],
)
def test_records(text, expected):
    assert records(text) == expected


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        ("item_id,title", ","),
        ("item_id;title", ";"),
        ('item_id;"price, EUR, net";title', ";"),
        ("item_id\ttitle, short", "\t"),
        ("item_id|title", "|"),
        ("user::item::rating", "::"),
        ("item_id", ","),
        ("sep=;\nitem_id;title", ";"),
        ("\ufeffitem_id;title", ";"),
    ],
)
def test_the_delimiter_is_told_from_the_header(line, delimiter):
    dialect = dialect_of_text(f"{line}\na\n".encode(), None, None)
    assert dialect.delimiter == delimiter
    assert dialect.column_names[0] in ("item_id", "user")


def test_columns_without_a_name_or_named_twice():
    assert dialect_of_text(b"a,,A,a\n", None, None).column_names == ("a", "column1", "A_1", "a_2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("196\t242\t3\t881250949\n186\t302\t3\t891717742\n", True),
        ("1::1193::5::978300760\n1::661::3::978302109\n", True),
        ("A1,B00,5.0,1396569600\nA2,B01,3.0,1396569601\n", True),
        ("anna,lamp,view\nanna,desk,view\n", True),
        ("client,sku,ts\n1,2,3\n", False),
        ("user_id:token\titem_id:token\ttimestamp:float\n1\t2\t3\n", False),
        ("item_id,2024,2025\na,1,2\n", False),
        ("code,7\na,1\n", False),
    ],
)
def test_a_missing_header_is_seen(text, expected):
    dialect = dialect_of_text(text.encode(), None, None)
    assert has_no_header(dialect, text.splitlines()[1:], {"item_id", "visitor_id", "code"}) is expected


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Müller".encode(), None),
        (b"plain", None),
        ("Müller".encode("cp1252"), "cp1252"),
        ("Müller".encode("utf-16"), "utf-16"),
        ("Müller, Köln".encode("utf-16-le"), "utf-16-le"),
        ("Müller, Köln".encode("utf-16-be"), "utf-16-be"),
        (b"\x81\xfc", "latin-1"),
    ],
)
def test_the_likely_encoding(content, encoding):
    assert likely_encoding(content) == encoding


LINES = st.sampled_from(["a,b", '"a,b', '"a"",",b', '"x\ny",c', "ä,", ",", "a", "a,b,c", " ", '5" tv,b'])


@settings(max_examples=300, deadline=None)
@given(
    text=st.one_of(st.text('ab,"\n\r \t:', max_size=60), st.lists(LINES, max_size=12).map("\n".join)),
    delimiter=st.sampled_from([",", "\t", "::", " "]),
    width=st.integers(1, 3),
    newline=st.sampled_from([b"\n", b"\r"]),
    size=st.integers(1, 30),
    broken_byte=st.none() | st.integers(0, 60),
)
def test_a_run_of_lines_holds_what_each_line_does(text, delimiter, width, newline, size, broken_byte):
    content = text.replace("\n", "\r").encode() if newline == b"\r" else text.encode()
    if broken_byte is not None:
        content = content[:broken_byte] + b"\xff" + content[broken_byte:]
    pieces = [content[start : start + size] for start in range(0, len(content), size)]

    def read(reader):
        return [
            (
                record.first_line_number,
                record.raw_bytes if record.unreadable_reason else record.parsed_fields or record.raw_bytes,
                record.unreadable_reason,
            )
            for record in reader
        ]

    line_by_line = RecordReader(pieces, delimiter, width, 1, newline)
    line_by_line._run = re.compile(b"")
    assert read(RecordReader([content], delimiter, width, 1, newline)) == read(line_by_line)
