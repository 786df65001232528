"""The commands `publish` and `forget` with targets: what they write, what they say, and how they end."""

import json

import duckdb
import pytest
from test_load import Shell
from test_publish import make_night

from jobs.cli import night_commands
from jobs.warehouse.connection import connect, prepare_warehouse

SETTINGS = """
    [publish.files]
    type = "parquet"
    path = "files"
    [publish.mirror]
    type = "duckdb"
    path = "mirror.duckdb"
"""
UNREACHABLE = """
    [publish.bi]
    type = "postgres"
    path = "host=127.0.0.1 port=1 dbname=bi"
"""
VISITORS_IN = {
    "files": "select distinct visitor_id from 'files/current/visitor_recommendations.parquet'",
    "mirror": "select distinct visitor_id from mirror.recommendations.visitor_recommendations",
}


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    """A folder with a warehouse whose public tables are those of a night."""
    monkeypatch.chdir(tmp_path)
    with connect(tmp_path / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)
        make_night(connection, 1)
        connection.execute("insert into raw.events (event_id, visitor_id) values ('e1', 'v3')")
    return Shell(tmp_path, monkeypatch, capsys)


def visitors_in(target: str) -> set[str]:
    with duckdb.connect() as connection:
        connection.execute("attach 'mirror.duckdb' (read_only)")
        return {visitor for (visitor,) in connection.execute(VISITORS_IN[target]).fetchall()}


def test_publish_copies_to_all_targets_and_to_the_one_of_the_option(shell):
    shell.write("nextmart.toml", SETTINGS)
    code, said = shell("publish", "--to", "parquet", "once")
    assert code == 0, said
    for setting in ("[publish.files]", "[publish.mirror]", "--to"):
        assert f"{setting} " in said
    assert visitors_in("files") == visitors_in("mirror")
    assert "v3" in visitors_in("files")
    assert (shell.folder / "once/current/popular_items.parquet").exists()


def test_publish_says_which_target_it_could_not_reach_and_fails(shell):
    shell.write("nextmart.toml", SETTINGS + UNREACHABLE)
    code, said = shell("publish", "--json")
    assert code == 1
    assert "published.duckdb is published, but these targets still hold the publication before" in said
    assert "[publish.bi]: can't attach" in said
    assert "v3" in visitors_in("files")
    summary = json.loads(shell.stdout)  # one object
    assert summary["exit_code"] == 1
    assert "[publish.bi]: can't attach" in summary["error"]
    targets = summary["detail"]["targets"]
    assert set(targets["[publish.bi]"]) == {"problem"}
    assert targets["[publish.files]"]["rows"] > 0


def test_a_run_whose_upkeep_fails_writes_its_report_and_names_targets_that_failed(shell, monkeypatch):
    shell.write("nextmart.toml", SETTINGS + UNREACHABLE)
    shell.write("backups", "a file where the folder of copies has to be")
    monkeypatch.setattr(night_commands, "run_dbt_build", lambda *arguments, **options: None)
    monkeypatch.setenv("NEXTMART_BACKUPS_KEPT", "1")
    monkeypatch.setenv("NEXTMART_REPORT", "report.html")
    pages = []
    monkeypatch.setattr(night_commands, "write_report_after_publication", lambda settings, page: pages.append(page))
    code, said = shell("run")
    assert code == 1
    assert "the upkeep after that failed: " in said
    assert "[publish.bi]: can't attach" in said
    assert "published published.duckdb: " in shell.stdout
    assert len(pages) == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [(("mysql", "host=db"), "'parquet'"), (("postgres", "host=db password=secret"), "holds a password")],
)
def test_an_option_that_makes_no_sense_is_refused(shell, option, message):
    code, said = shell("publish", "--to", *option)
    assert code == 2
    assert "--to: " in said
    assert message in said
    assert "secret" not in said
    assert not (shell.folder / "published.duckdb").exists()


def test_forget_takes_the_person_out_of_every_target(shell):
    shell.write("nextmart.toml", SETTINGS)
    for _ in range(2):
        assert shell("publish")[0] == 0
    code, said = shell("forget", "--visitor", "v3")
    assert code == 0, said
    for target in VISITORS_IN:
        assert "v3" not in visitors_in(target)
        assert "v4" in visitors_in(target)
    for file in shell.folder.glob("files/versions/*/visitor_recommendations.parquet"):
        assert not duckdb.sql(f"from '{file}' where visitor_id = 'v3'").fetchall()


def test_forget_fails_where_a_target_may_still_hold_the_person(shell):
    shell.write("nextmart.toml", SETTINGS)
    assert shell("publish")[0] == 0
    shell.write("nextmart.toml", SETTINGS + UNREACHABLE)
    code, said = shell("forget", "--visitor", "v3")
    assert code == 1
    assert "[publish.bi]: can't attach" in said
    assert "it may still hold the visitor" in said
    assert "v3" not in visitors_in("files")


def test_forget_names_other_files_that_were_published_and_hold_the_person(shell):
    for file in ("lists/other.duckdb", "lists/gone.duckdb", "lists/torn.duckdb"):
        assert shell("publish", "--published", file)[0] == 0
    assert shell("publish")[0] == 0
    (shell.folder / "lists/gone.duckdb").unlink()
    (shell.folder / "lists/torn.duckdb").unlink()
    shell.write("lists/torn.duckdb", "torn")
    code, said = shell("forget", "--visitor", "v3")
    assert code == 1
    other, torn = shell.folder / "lists/other.duckdb", shell.folder / "lists/torn.duckdb"
    for file in (other, torn):
        assert f"{file}, which was published from this warehouse too, may still hold the visitor" in said
    assert "gone.duckdb" not in said
    assert shell("publish", "--published", "lists/other.duckdb")[0] == 0
    torn.unlink()
    assert shell("forget", "--visitor", "v3")[0] == 0


def test_forget_ends_well_where_nothing_was_ever_published(shell):
    shell.write("nextmart.toml", SETTINGS + UNREACHABLE)
    code, said = shell("forget", "--visitor", "v3")
    assert code == 0, said
    assert "forgotten, in rows: 1 of raw.events" in said
    assert not (shell.folder / "files").exists()


def test_forget_says_where_the_published_file_is_lost_that_targets_may_hold_the_person(shell):
    shell.write("nextmart.toml", SETTINGS)
    assert shell("publish")[0] == 0
    (shell.folder / "published.duckdb").unlink()
    code, said = shell("forget", "--visitor", "v3")
    assert code == 1
    assert "published.duckdb is missing or damaged; it may still hold the visitor" in said


def test_an_error_in_a_target_names_its_table(shell):
    shell.write("nextmart.toml", '[publish.bi]\ntype = "postgres"\npath = "host=db password=secret"\n')
    code, said = shell("publish")
    assert code == 2
    assert "[publish.bi]: path holds a password" in said
    assert "secret" not in said.replace("${SHOP_PASSWORD}", "")
    shell.write("nextmart.toml", '[publish.bi]\ntype = "parquet"\npath = "files"\nschema = "lists"\n')
    assert "[publish.bi] in nextmart.toml: unknown key 'schema'; did you mean 'schema_name'" in shell("publish")[1]
