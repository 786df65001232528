"""What the documentation names exists, and what it lists it lists whole."""

import json
import re

import pages
import pytest

from jobs.commands import tables_page
from jobs.experiments.spec import ExperimentSpec, ModelEntry, SearchSpec
from jobs.models.registry import FAMILIES
from jobs.warehouse.columns import JOB_TABLES

DOCS = pages.ROOT / "docs"
MADE_BY_A_RUN = ("NAME-best.toml", "events_1.csv", "events_2.csv")

every_page = pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)


def test_the_readme_is_read_in_two_minutes():
    assert len((pages.ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@every_page
def test_links_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)]+)\)", pages.prose(page)):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not target.startswith("https://") and (
            not linked.exists() or (anchor and anchor not in pages.anchors(linked))
        ):
            broken.append(target)
    assert not broken


@every_page
def test_files_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:jobs|dbt_project|sql|tests|docs|examples|experiments|benchmarks)/[\w./-]*)`", text)
    flow = re.findall(r"\b(?:jobs|sql)/[\w/]+\.(?:py|sql)", text)
    beside = [name for name in re.findall(r"`([\w-]+\.(?:md|py|sql|yml|toml))`", text) if name not in MADE_BY_A_RUN]
    folders = ("docs", "dbt_project", "experiments", "examples", "sql", "jobs", "tests", "benchmarks")
    known = {path.name for folder in folders for path in (pages.ROOT / folder).rglob("*")}
    known |= {"README.md", "CHANGELOG.md"}
    missing = [name for name in {*named, *flow} if not (pages.ROOT / name).exists()]
    assert not missing + [name for name in beside if name not in known]


@every_page
def test_tables_that_are_named_exist(documented_shop, page):
    found = documented_shop.rows(
        "select table_schema, table_name, column_name from information_schema.columns where table_catalog <> 'temp'"
    )
    schemas = {schema for schema, _, _ in found} - {"main", "information_schema", "pg_catalog"}
    known = {f"{schema}.{table}" for schema, table, _ in found} | {".".join(row) for row in found}
    named = re.findall(rf"`((?:{'|'.join(sorted(schemas))})\.\w+(?:\.\w+)?)`", pages.prose(page))
    assert not {name for name in named if name not in known and not name.endswith(".duckdb")}


def test_every_column_of_the_jobs_tables_is_listed():
    [listed] = [rows for head, rows in pages.tables(DOCS / "analysts.md") if head == ["table", "one row is", "columns"]]
    assert {pages.names(row[0])[0]: pages.names(row[2]) for row in listed} == {
        table: list(columns) for table, columns in JOB_TABLES.items() if table.startswith("ml.")
    }


def test_the_public_tables_are_listed(documented_shop):
    [listed] = [rows for head, rows in pages.tables(pages.ROOT / "README.md") if head[-1] == "one row is"]
    found = documented_shop.read("select table_name from information_schema.tables")
    assert sorted(pages.names(row[0])[0] for row in listed) == sorted(name for (name,) in found)


def test_every_parameter_of_every_family_is_listed_with_its_default():
    listed: dict[str, dict[str, object]] = {family: {} for family in FAMILIES}
    for head, rows in pages.tables(DOCS / "models.md"):
        if head[0] == "parameter":
            families = [pages.names(cell)[0] for cell in head[1:-1]]
            for name, *defaults, _ in rows:
                for family, default in zip(families, defaults, strict=True):
                    if default != "–":
                        listed[family][pages.names(name)[0]] = json.loads(pages.names(default)[0])
    assert listed == {family: dict(model.defaults) for family, model in FAMILIES.items()}


def test_every_key_of_an_experiment_is_listed():
    listed = [[pages.names(row[0])[0] for row in rows] for head, rows in pages.tables(DOCS / "experiments.md")
              if head[0] == "key"]  # fmt: skip
    assert listed == [list(table.model_fields) for table in (ExperimentSpec, ModelEntry, SearchSpec)]


def test_every_experiment_and_every_analysis_is_listed():
    experiments = {path.name for path in (pages.ROOT / "experiments").glob("*.toml")}
    analyses = {path.name for path in (pages.ROOT / "sql" / "analyses").glob("*.sql")}
    for page, files in (("experiments.md", experiments), ("analysts.md", analyses)):
        assert {pages.names(row[0])[0] for head, rows in pages.tables(DOCS / page) if head[0].startswith("file")
                for row in rows} == files  # fmt: skip


def test_the_page_of_tables_is_what_the_dbt_project_says_now(documented_shop):
    manifest = json.loads((documented_shop.folder / ".nextmart" / "target" / "manifest.json").read_text("utf-8"))
    assert (DOCS / "tables.md").read_text(encoding="utf-8") == tables_page.render_tables_page(manifest), (
        "stale: run `make docs`"
    )
