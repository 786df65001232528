"""The SQL, the commands and the settings that the documentation shows work as they stand there."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pages
import pytest
import typer

from jobs.cli import app
from jobs.experiments.spec import read_experiment
from jobs.models.registry import make_model
from jobs.settings import load_settings
from jobs.warehouse.connection import connect

RUNNABLE_LANGUAGES = ("sql", "sh", "toml")
USAGE_ERROR = typer.BadParameter.__base__  # typer's own copy of click's
PAGES_WITH_COMMANDS = [page for page in pages.PAGES if pages.commands(page)]
PAGES_TO_RUN = [page for page in pages.PAGES if any(block.is_run for block in pages.blocks("sh", page=page))]


def by_name(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("block", [block for block in pages.blocks("sql") if block.is_run], ids=str)
def test_sql_answers(documented_shop, block):
    if block.comment == pages.ON_THE_WAREHOUSE:
        reader = connect(documented_shop.warehouse, read_only=True)
    else:
        reader = duckdb.connect(str(documented_shop.published), read_only=True)
    with reader:
        for statement in reader.extract_statements(block.text):
            assert reader.execute(statement).fetchall(), statement.query


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS, ids=by_name)
def test_every_command_has_the_options_that_are_shown(page):
    group = typer.main.get_command(app)
    for words in pages.commands(page):
        assert words[0] in group.commands, f"there is no command nextmart {words[0]}"
        if words[1:]:  # else it may be only named
            try:
                group.commands[words[0]].make_context(words[0], words[1:])
            except USAGE_ERROR as error:
                pytest.fail(f"nextmart {' '.join(words)}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=by_name)
def test_commands_run(documented_shop, tmp_path, request, page):
    shop = documented_shop.copy(tmp_path / "shop")
    programs = [str(Path(sys.executable).parent), os.environ["PATH"]]
    if page.name != "README.md":  # whose commands are the installed ones
        programs.insert(0, str(request.getfixturevalue("warm_nextmart")))
    for block in pages.blocks("toml", page=page):
        first, _, _ = block.text.partition("\n")
        if first.startswith("# ") and first.endswith(".toml"):
            (shop.folder / first.removeprefix("# ")).write_text(block.text, encoding="utf-8")
    virtual_environment = shop.folder / ".venv" / "bin"
    virtual_environment.mkdir(parents=True)
    (virtual_environment / "activate").touch()  # it is active already
    [(candidate,)] = shop.rows("select min(model_version) from ml.models where status <> 'live'")
    environment = shop.environment(
        PATH=os.pathsep.join(programs),
        MODEL_VERSION=candidate,
        NEXTMART_MODELS='["popularity", "llmseqsim", "vsknn"]',
    )
    needs_database = any("$BI_DATABASE" in block.text for block in pages.blocks("sh", page=page) if block.is_run)
    if needs_database:
        server = request.getfixturevalue("postgres")
        environment |= {"BI_DATABASE": server.text(), "SHOP_PASSWORD": server.password}
    for block in pages.blocks("sh", page=page):
        if block.is_run:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.text], cwd=shop.folder, env=environment, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    if needs_database:
        exported = "select count(*) from recommendations.visitor_recommendations"
        assert [(int(server.execute(exported)),)] == shop.read(exported)


@pytest.mark.parametrize("block", pages.blocks("toml"), ids=str)
def test_settings_and_experiments_are_accepted(tmp_path, monkeypatch, block):
    monkeypatch.chdir(tmp_path)
    if "[[models]]" in block.text:
        Path("experiment.toml").write_text(block.text, encoding="utf-8")
        read_experiment(Path("experiment.toml"))
    else:
        Path("nextmart.toml").write_text(block.text, encoding="utf-8")
        settings = load_settings()
        assert settings.job_vars().chosen_embedding_model
        for family, parameters in settings.parameters.items():
            make_model(family, parameters)


@pytest.mark.parametrize("block", pages.blocks("python"), ids=str)
def test_python_compiles(block):
    compile(block.text, str(block), "exec")


def test_a_block_that_is_not_run_says_why():
    silent = [
        str(block) for block in pages.blocks(*RUNNABLE_LANGUAGES)
        if not block.is_run and len(block.comment.removeprefix(pages.NOT_RUN).split()) < 3
    ]  # fmt: skip
    assert not silent
