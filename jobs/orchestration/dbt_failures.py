"""Describes the failures of a dbt build for people: the model or test, its message, and rows that the test found."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from jobs.attached_database_settings import AttachedDatabase
from jobs.errors import NextmartError, redact
from jobs.progress import without_control_characters
from jobs.warehouse.attached_databases import attach_needed_databases
from jobs.warehouse.connection import connect

ROWS_SHOWN = 5


def failure_texts(
    target_folder: Path, warehouse: Path, attached_databases: Mapping[str, AttachedDatabase] | None = None
) -> Iterator[str]:
    """Yield texts for people about each test or model that failed in the newest build.

    Parameters
    ----------
    target_folder : Path
        dbt's target folder, with ``run_results.json`` and compiled queries; nothing is yielded if that file is missing,
        and one text if it is cut off.
    warehouse : Path
        The file in which the query of a failed test is run again, to show rows that the test found.
    attached_databases : mapping, optional
        The databases of ``[attach]``, which views of the warehouse may read.
    """
    results_file = target_folder / "run_results.json"
    if not results_file.exists():
        return
    try:
        results = json.loads(results_file.read_text(encoding="utf-8"))["results"]
    except (ValueError, KeyError):
        yield (
            f"{results_file}, which names what failed, is cut off: no space is left on that disk, or dbt was ended "
            "while it wrote the file"
        )
        return
    for result in results:
        if result["status"] in ("fail", "error", "runtime error"):
            kind, _, name, *_ = result["unique_id"].split(".")
            message = _without_traceback(str(result["message"] or result["status"]).strip())
            yield without_control_characters(redact(f"failed: {kind} {name}: {message}"))
            if kind == "test" and result["status"] == "fail":
                yield from _first_failing_rows(result, warehouse, attached_databases or {})


def fatal_error_text(dbt_message: str) -> str:
    """Return the message of an error that ended dbt as a whole, without dbt's words around it.

    Such an error comes before the build, or from the macro check_settings, which dbt calls first.
    """
    lines = [line.strip() for line in dbt_message.splitlines()]
    told = [line for line in lines if line and not line.startswith(("Encountered an error", "> "))]
    if len(told) > 1 and told[0].startswith("Compilation Error in operation"):
        told = told[1:]
    return "\n".join(told)


def _without_traceback(message: str) -> str:
    """Return the message of a failed Python model without the error's traceback, which dbt's log has."""
    lines = message.splitlines()
    frames = [number for number, line in enumerate(lines) if line.lstrip().startswith('File "')]
    if not frames:
        return message
    depth = len(lines[frames[-1]]) - len(lines[frames[-1]].lstrip())
    after = (number for number in range(frames[-1], len(lines)) if not lines[number].startswith(" " * depth))
    return re.sub(r"^jobs\.[\w.]+: ", "", "\n".join(lines[next(after, 0) :]).strip())


def _first_failing_rows(
    test_result: Mapping[str, Any], warehouse: Path, attached_databases: Mapping[str, AttachedDatabase]
) -> Iterator[str]:
    query = test_result["compiled_code"] or ""
    try:
        with connect(warehouse, read_only=True) as connection:
            attach_needed_databases(connection, attached_databases)
            rows = connection.sql(f"from ({query}) limit {ROWS_SHOWN}")
            yield f"the first rows that it found:\n{without_control_characters(str(rows))}"
    except (duckdb.Error, NextmartError):
        # no rows can be shown if the query is not plain SQL, a table is gone, or another process holds the warehouse
        return
