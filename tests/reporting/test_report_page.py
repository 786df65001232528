"""The page as a file: whole, with every text as text, and only in the place of an earlier report."""

import re
from html.parser import HTMLParser

import duckdb
import pytest
from report_warehouse import HOSTILE_TITLE, make_warehouse

from jobs.errors import NextmartError
from jobs.reporting.nightly_report import write_report_after_publication
from jobs.reporting.report import write_report
from jobs.settings import Settings


class Elements(HTMLParser):
    """What a page holds: its tags, and its scripts' attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts = 0

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.scripts += tag == "script"


def elements(page: str) -> Elements:
    found = Elements()
    found.feed(page)
    return found


def test_texts_of_the_catalogue_make_no_elements(report_file):
    page = report_file.read_text()
    found = elements(page)
    assert found.scripts == 2  # the data of the search, and the page's own
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert HOSTILE_TITLE not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert "\\u003c/script\\u003e\\u003cscript\\u003ealert(1)" in page


def test_only_addresses_with_https_are_offered_as_pictures(report_file):
    page = report_file.read_text()
    assert 'data-picture="https://pictures.example/0.png"' in page
    assert "javascript:" not in page


def test_nothing_in_the_page_loads_from_elsewhere(report_file):
    found = elements(report_file.read_text())
    loading = {(name, value) for name, value in found.attributes if name in {"src", "srcset", "href"} and value}
    assert [value for _, value in loading if not value.startswith("#")] == []
    assert not {"link", "iframe", "object", "embed", "base"} & set(found.tags)


def test_each_section_says_what_the_tables_hold(report_file):
    text = re.sub(r"<[^>]*>", " ", report_file.read_text())
    text = " ".join(text.split())
    for words in (
        "2 events ( – ) could not be used",
        "1 of 2 jobs failed",
        "sasrec is live: best value.",
        "3 of 25 lists are shorter",
        "75.0 % have an embedding",
        "cost 1.25 US dollars",
        "Uplift with data up to 2026-06-03",
        "The 40 most popular items",
    ):
        assert words.replace("( – )", "(–)") in text, words
    assert "control: sasrec purchase" in text  # the lists of a model and of the control are never added up


def test_an_amount_of_money_has_two_decimals(report_file):
    assert ">1,234.50<" in report_file.read_text()


def test_a_warehouse_without_tables_has_a_report_that_says_so(tmp_path):
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        from jobs.warehouse.connection import prepare_warehouse

        prepare_warehouse(connection)
    settings = Settings(warehouse=tmp_path / "w.duckdb", published=tmp_path / "p.duckdb")
    write_report(settings, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for words in (
        "nothing published",
        "Nothing is built yet",
        "No outcomes yet",
        "No uplift yet",
        "No items are built",
    ):
        assert words in page


def test_a_file_that_is_no_report_stays(report_file, tmp_path):
    mine = tmp_path / "index.html"
    mine.write_text("<html>my own page</html>")
    warehouse = make_warehouse(tmp_path / "warehouse.duckdb")
    settings = Settings(warehouse=warehouse, published=tmp_path / "published.duckdb")
    with pytest.raises(NextmartError, match=r"index\.html is no report"):
        write_report(settings, mine)
    assert mine.read_text() == "<html>my own page</html>"


def test_a_report_that_fails_ends_no_night_and_leaves_the_earlier_one(report_file, tmp_path, monkeypatch, capsys):
    warehouse = make_warehouse(tmp_path / "warehouse.duckdb")
    settings = Settings(warehouse=warehouse, published=tmp_path / "published.duckdb")
    file = tmp_path / "report.html"
    file.write_bytes(report_file.read_bytes())

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jobs.reporting.report.replace_durably", no_space)
    assert not write_report_after_publication(settings, file)
    assert "was not written" in capsys.readouterr().err
    assert file.read_bytes() == report_file.read_bytes()
    assert [path.name for path in tmp_path.glob("*report*")] == ["report.html"]
