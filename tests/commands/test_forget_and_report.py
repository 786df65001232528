"""`nextmart forget` and a report that is already written: no page goes on showing the person."""

import re
import shutil
from pathlib import Path

import pytest
from report_warehouse import make_warehouse
from test_load import Shell

from jobs.reporting import person_withdrawal
from jobs.reporting.report import write_report
from jobs.settings import Settings

PERSON = "v7"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A folder with a warehouse, and its report."""
    folder = tmp_path_factory.mktemp("report")
    make_warehouse(folder / "warehouse.duckdb")
    settings = Settings(warehouse=folder / "warehouse.duckdb", published=folder / "published.duckdb")
    write_report(settings, folder / "pages" / "look.html")
    return folder


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys, written) -> Shell:
    """A shop's folder, whose report shows the person."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nextmart.toml").write_text('report = "pages/look.html"\n')
    shell = Shell(tmp_path, monkeypatch, capsys)
    assert shows_person(shell)
    return shell


def shows_person(shell: Shell) -> bool:
    return re.search(rf"\b{PERSON}\b", (shell.folder / "pages" / "look.html").read_text()) is not None


def test_the_report_is_written_anew(shell):
    code, said = shell("forget", "--visitor", PERSON)
    assert code == 0, said
    assert "look.html is written anew" in said
    assert not shows_person(shell)


def test_a_report_that_cant_be_written_anew_is_deleted(shell, monkeypatch):
    monkeypatch.setattr(person_withdrawal, "are_report_packages_installed", lambda: False)
    code, said = shell("forget", "--visitor", PERSON)
    assert code == 0, said
    assert "look.html is deleted, as it could not be written anew: its packages are not installed" in said
    assert not (shell.folder / "pages" / "look.html").exists()


def test_a_page_that_is_no_report_stays(shell):
    (shell.folder / "pages" / "look.html").write_text(f"my notes on {PERSON}")
    code, said = shell("forget", "--visitor", PERSON)
    assert code == 0, said
    assert shows_person(shell)


def test_a_report_that_cant_be_replaced_is_named_and_the_command_fails(shell, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied", "look.html")

    monkeypatch.setattr(person_withdrawal, "are_report_packages_installed", lambda: False)
    monkeypatch.setattr(Path, "unlink", fail)
    code, said = shell("forget", "--visitor", PERSON)
    assert code == 1
    assert "look.html can't be replaced, and may still show the visitor: " in said
