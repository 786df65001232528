"""The SQL function unescape_html, which replaces HTML's character references."""

import duckdb
import pytest

from jobs.warehouse.sql_functions import register_functions


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        ("Ben &amp; Jerry&#39;s", "Ben & Jerry's"),
        ("Caf&eacute; &#x2615;", "Café ☕"),
        ("2&nbsp;m", "2\u00a0m"),
        ("&amp;amp;lt;b&amp;gt;", "<b>"),
        ("R&D, Q&A, AT&T; a & b &unknown;", "R&D, Q&A, AT&T; a & b &unknown;"),
        ("", ""),
        (None, None),
    ],
)
def test_references_are_replaced_until_none_is_left(escaped, plain):
    with duckdb.connect() as connection:
        register_functions(connection)
        assert connection.execute("select unescape_html(?)", [escaped]).fetchone() == (plain,)
        assert connection.execute("select unescape_html(?)", [plain]).fetchone() == (plain,)


def test_every_connection_to_the_file_knows_the_function_and_registering_again_is_nothing(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as first, duckdb.connect(path) as second:
        for connection in (first, second, first.cursor()):
            register_functions(connection)
            assert connection.execute("select unescape_html('&lt;')").fetchone() == ("<",)


def test_many_rows_come_back_in_their_places():
    with duckdb.connect() as connection:
        register_functions(connection)
        wrong = connection.execute(
            "select count(*) from range(10_000) as numbers (n) "
            "where unescape_html(case when n % 3 > 0 then n || '&amp;' end) is distinct from "
            "case when n % 3 > 0 then n || '&' end"
        ).fetchone()
    assert wrong == (0,)
