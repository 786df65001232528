"""Checks whether dbt can add rows to tables that an earlier version built, or has to build the tables anew."""

import re
from dataclasses import dataclass
from functools import cache

import duckdb
import yaml

from jobs.errors import NextmartError
from jobs.files import project_folder

COLUMNS = """
    select columns.schema_name || '.' || columns.table_name, list(columns.column_name)
    from duckdb_columns() as columns
    semi join duckdb_tables() as tables on columns.table_oid = tables.table_oid
        and columns.database_oid = tables.database_oid
    where columns.database_name = current_database() and list_contains($tables, columns.schema_name || '.'
        || columns.table_name)
    group by all
    order by all
"""


@dataclass(frozen=True)
class IncrementalModel:
    """An incremental dbt model, whose table keeps its rows from one build to the next.

    Attributes
    ----------
    table : str
        The table with its schema, such as ``staging.checked_events``.
    columns : frozenset of str
        The columns that the model makes, as its description lists them.
    """

    table: str
    columns: frozenset[str]


@cache
def incremental_models() -> tuple[IncrementalModel, ...]:
    """Read the incremental models, with their columns, from the dbt project."""
    folder = project_folder("dbt_project")
    project = yaml.load((folder / "dbt_project.yml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    rooms = {name: room["+schema"] for name, room in project["models"]["nextmart"].items() if not name.startswith("+")}
    found = []
    for file in sorted((folder / "models").rglob("*.sql")):
        text = file.read_text(encoding="utf-8")
        if "materialized='incremental'" in text:
            room = file.relative_to(folder / "models").parts[0]
            alias = re.search(r"alias='(\w+)'", text)
            columns = _described_columns_of_models(room)[file.stem]
            found.append(IncrementalModel(f"{rooms[room]}.{alias[1] if alias else file.stem}", columns))
    return tuple(found)


@cache
def _described_columns_of_models(models_folder: str) -> dict[str, frozenset[str]]:
    """Return the columns of each model that the YAML file of a folder of models describes: model -> columns."""
    file = project_folder("dbt_project") / "models" / models_folder / f"_{models_folder}__models.yml"
    models = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["models"]
    return {model["name"]: frozenset(column["name"] for column in model.get("columns", [])) for model in models}


def outdated_tables(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the tables of incremental models whose columns differ from the models' columns, with the differences."""
    models = incremental_models()
    rows = connection.execute(COLUMNS, {"tables": [model.table for model in models]}).fetchall()
    present = {table: frozenset(columns) for table, columns in rows}
    differences = {}
    for model in models:
        columns = present.get(model.table, model.columns)
        missing, surplus = sorted(model.columns - columns), sorted(columns - model.columns)
        words = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"still has {', '.join(surplus)}"] * bool(surplus)
        if words:
            differences[model.table] = " and ".join(words)
    return differences


def require_current_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise NextmartError if tables of incremental models need a full refresh, because their columns differ."""
    if differences := outdated_tables(connection):
        tables = "; ".join(f"{table} {difference}" for table, difference in differences.items())
        raise NextmartError(
            f"an earlier version of nextmart built these tables, and no night can add to them: {tables}. Build them "
            "anew once, from the raw tables: nextmart run --full-refresh. The tables of raw and ml stay as they are, "
            "and so does what is published."
        )
