"""Print ``docs/tables.md``, the page of every table with its columns: ``python -m jobs.commands.tables_page MANIFEST``.

The descriptions come from the dbt project's YAML files; dbt writes them to its ``manifest.json``.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

INTRODUCTION = """\
<!-- Made by `make docs` from the descriptions in dbt_project: change them there. -->

# Tables and columns

The schema `recommendations` is public: the published file holds it, and its names and types are a contract. The other
schemas are in the warehouse, for whoever wants to look behind a recommendation. The tables of `ml` are described in
[analysts.md](analysts.md#history)."""

FIRST_SCHEMAS = ("recommendations", "sessions", "catalog", "staging", "raw")
SCHEMA_OF_RUN_SUMMARIES = "jobs"  # the schema of the dbt models that run jobs; their rows repeat rows of ml.job_runs
SCHEMA_OF_JOB_TABLES = "ml"


def render_tables_page(manifest: Mapping[str, Any]) -> str:
    """Return the whole page of tables, in Markdown."""
    nodes = [*manifest["nodes"].values(), *manifest["sources"].values()]
    tables = [
        node
        for node in nodes
        if node["resource_type"] in ("model", "snapshot", "source")
        and node["schema"] not in (SCHEMA_OF_RUN_SUMMARIES, SCHEMA_OF_JOB_TABLES)
    ]
    parts = [INTRODUCTION]
    for schema in sorted({table["schema"] for table in tables}, key=_schema_sort_key):
        parts.append(f"## {schema}")
        for table in sorted((table for table in tables if table["schema"] == schema), key=_table_name_in_warehouse):
            parts += [
                f"### {schema}.{_table_name_in_warehouse(table)}",
                _on_one_line(table["description"]),
                _markdown_table_of_columns(table["columns"].values()),
            ]
    return "\n\n".join(parts) + "\n"


def _table_name_in_warehouse(manifest_node: Mapping[str, Any]) -> str:
    """Return a table's name in the warehouse, which may differ from the name of its dbt model."""
    return str(manifest_node.get("alias") or manifest_node["identifier"])


def _schema_sort_key(schema: str) -> tuple[int, str]:
    """Return the sort key of a schema: schemas that people query most come first, others follow by name."""
    position = FIRST_SCHEMAS.index(schema) if schema in FIRST_SCHEMAS else len(FIRST_SCHEMAS)
    return position, schema


def _markdown_table_of_columns(column_descriptions: Iterable[Mapping[str, Any]]) -> str:
    lines = ["| column | meaning |", "|---|---|"]
    for column in column_descriptions:
        kind = f" ({column['data_type']})" if column.get("data_type") else ""
        lines.append(f"| `{column['name']}`{kind} | {_on_one_line(column['description'])} |")
    return "\n".join(lines)


def _on_one_line(description: str) -> str:
    return " ".join(description.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(render_tables_page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")  # noqa: T201
