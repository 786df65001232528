"""Print ``docs/tables.md``, the page of every table with its columns: ``python -m jobs.commands.tables_page MANIFEST``.

The descriptions are those of the dbt project's YAML, as dbt writes them to its ``manifest.json``.
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
SUMMARIES_OF_RUNS = "jobs"  # a schema of tables that hold what ml.job_runs has
OWNED_BY_JOBS = "ml"


def page(manifest: Mapping[str, Any]) -> str:
    """Return the whole page, in Markdown."""
    nodes = [*manifest["nodes"].values(), *manifest["sources"].values()]
    tables = [
        node
        for node in nodes
        if node["resource_type"] in ("model", "snapshot", "source")
        and node["schema"] not in (SUMMARIES_OF_RUNS, OWNED_BY_JOBS)
    ]
    parts = [INTRODUCTION]
    for schema in sorted({table["schema"] for table in tables}, key=_place):
        parts.append(f"## {schema}")
        for table in sorted((table for table in tables if table["schema"] == schema), key=_relation):
            parts += [
                f"### {schema}.{_relation(table)}",
                _words(table["description"]),
                _columns(table["columns"].values()),
            ]
    return "\n\n".join(parts) + "\n"


def _relation(table: Mapping[str, Any]) -> str:
    """Return a table's name in the warehouse, which may differ from its model's."""
    return str(table.get("alias") or table["identifier"])


def _place(schema: str) -> tuple[int, str]:
    """Return the sort key of a schema: those that people query most come first, the others follow by name."""
    known = FIRST_SCHEMAS.index(schema) if schema in FIRST_SCHEMAS else len(FIRST_SCHEMAS)
    return known, schema


def _columns(columns: Iterable[Mapping[str, Any]]) -> str:
    lines = ["| column | meaning |", "|---|---|"]
    for column in columns:
        kind = f" ({column['data_type']})" if column.get("data_type") else ""
        lines.append(f"| `{column['name']}`{kind} | {_words(column['description'])} |")
    return "\n".join(lines)


def _words(description: str) -> str:
    return " ".join(description.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")  # noqa: T201
