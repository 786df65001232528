"""Commands where the warehouse is missing: a wrong folder, or a disk that is not mounted, is no reason to make one."""

import pytest
from test_load import EVENTS, Shell

from jobs.cli import night_commands

COMMANDS = (
    ("run",), ("publish",), ("embed",), ("train",), ("evaluate",), ("recommend",), ("status",), ("pin", "some-model"),
    ("unpin",), ("rollback",), ("forget", "--visitor", "v"),
)  # fmt: skip


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture
def builds(monkeypatch) -> list[str]:
    """The warehouses that were built, instead of building them."""
    found: list[str] = []
    monkeypatch.setattr(
        night_commands, "run_dbt_build", lambda settings, *arguments, **options: found.append(str(settings.warehouse))
    )
    return found


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_names_the_missing_warehouse_and_makes_none(shell, builds, command):
    code, said = shell(*command, "--warehouse", "disk/shop.duckdb")
    assert code == 1
    assert f"there is no warehouse {shell.folder / 'disk' / 'shop.duckdb'}" in said
    assert "is its disk mounted" in said
    assert "`nextmart load`" in said
    assert ("`nextmart run --create`" in said) == (command == ("run",))
    assert list(shell.folder.iterdir()) == builds == []


def test_run_makes_an_empty_warehouse_if_it_is_told_to(shell, builds):
    code, said = shell("run", "--create")
    assert "there are no recommendation tables yet" in said  # nothing was built
    assert code == 1
    assert builds == ["warehouse.duckdb"]
    assert shell.rows("select count(*) from raw.events") == [(0,)]


def test_load_makes_the_warehouse_of_a_new_shop_and_run_finds_it(shell, builds):
    shell.write("events.csv", EVENTS + "e1,v1,i1,view,2026-01-01 10:00:00\n")
    assert shell("load", "--events", "events.csv")[0] == 0
    assert "there is no warehouse" not in shell("run")[1]
    assert builds == ["warehouse.duckdb"]


def test_load_does_not_begin_anew_beside_what_an_earlier_warehouse_published(shell):
    shell.write("events.csv", EVENTS + "e1,v1,i1,view,2026-01-01 10:00:00\n")
    published = shell.folder / "published.duckdb"
    published.write_bytes(b"of an earlier warehouse")
    code, said = shell("load", "--events", "events.csv", "--warehouse", "disk/shop.duckdb")
    assert code == 1
    assert f"there is no warehouse {shell.folder / 'disk' / 'shop.duckdb'}" in said
    assert f"{published} was published from one" in said
    assert not (shell.folder / "disk").exists()
    code, said = shell("load", "--events", "events.csv", "--warehouse", "disk/shop.duckdb", "--create")
    assert code == 0, said
    assert (shell.folder / "disk" / "shop.duckdb").exists()
