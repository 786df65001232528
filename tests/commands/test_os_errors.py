"""Errors of the operating system are one clear line: the file, the reason and what to do."""

import errno
import os
import sys

import pytest

from jobs.cli import main
from jobs.os_errors import os_error_text
from jobs.warehouse.connection import connect, prepare_warehouse

LONG = "x" * 300


@pytest.fixture
def nextmart(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with connect(tmp_path / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nextmart", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr().err

    return call


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["status", "--warehouse", f"{LONG}.duckdb"], 1, "the name is too long"),
        (["load", "--events", f"{LONG}.csv"], 1, "the name is too long"),
        (["publish", "--published", f"{LONG}.duckdb"], 1, "the name is too long"),
        (["publish", "--warehouse", "file/warehouse.duckdb"], 1, "file"),
        (["status", "--warehouse", "folder"], 2, "setting 'warehouse' names a folder"),
        (["publish", "--published", "folder"], 2, "setting 'published' names a folder"),
        (["status", "--warehouse", "a#b.duckdb"], 2, "'#' in"),
        (["status", "--warehouse", "folder?/b.duckdb"], 2, "'?' in"),
        (["status", "--warehouse", "a;b.duckdb"], 2, "';' in"),
        (["embed", "--warehouse", "folder/none.duckdb"], 1, "there is no warehouse"),
    ],
)
def test_a_path_that_can_not_be_used_is_one_line(nextmart, arguments, exit_code, says, tmp_path):
    if arguments[0] == "publish" and LONG in arguments[-1]:
        with connect(tmp_path / "warehouse.duckdb") as connection:
            connection.execute("create schema recommendations")
            connection.execute("create table recommendations.visitor_recommendations as select 'm' as model_version")
    code, said = nextmart(*arguments)
    assert says in said
    assert code == exit_code
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, errno.ELOOP])
def test_the_file_and_the_reason_are_named(number):
    said = os_error_text(OSError(number, os.strerror(number), "some/file"))
    assert said.startswith("some/file: ")
    assert "\n" not in said


def test_no_permission_names_the_folder(nextmart, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/shop/published.duckdb")

    monkeypatch.setattr("jobs.cli.night_commands.publish", refuse)
    code, said = nextmart("publish")
    assert (code, said) == (1, f"nextmart: /srv/shop/published.duckdb: {os_error_text(OSError(errno.EACCES, ''))}\n")


def test_an_error_that_nobody_expected_shows_its_traceback_without_secrets(nextmart, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecret")

    def fail(*_, **__):
        raise ZeroDivisionError("sk-verysecret")

    monkeypatch.setattr("jobs.cli.night_commands.publish", fail)
    code, said = nextmart("publish")
    assert code == 1
    assert "Traceback" in said
    assert "sk-verysecret" not in said
