"""What a command prints at its end: its outcome, or its error."""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import duckdb

from jobs.progress import print_result, say
from jobs.warehouse.error_advice import error_advice


def print_outcome(summary: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the outcome on stdout: ``text`` for people, or ``summary`` as JSON for machines."""
    print_result(json.dumps(summary, default=str) if as_json else text)


def print_outcome_with_failures(
    summary: dict[str, Any], text: str, as_json: bool, failures: Sequence[Exception]
) -> None:
    """Print the outcome of a command of which some steps may have failed; if any has, end the process with exit code 1.

    With ``as_json`` stdout gets one JSON object, which has the failures too.
    """
    if not failures:
        print_outcome(summary, text, as_json)
        return
    message = "\n".join(map(str, failures))
    print_outcome(summary | {"error": message, "exit_code": 1}, text, as_json)
    if os.environ.get("NEXTMART_DEBUG"):
        for failure in failures:
            say("".join(traceback.format_exception(failure)))
    say(f"nextmart: {message}")
    sys.exit(1)


def wants_json() -> bool:
    """Return whether the caller asked for JSON (``--json``)."""
    return "--json" in sys.argv[1:]


def print_error_and_exit(error: Exception, exit_code: int, *, with_traceback: bool = False) -> NoReturn:
    """Print an error's message, with advice if DuckDB found damage or too little memory, and end the process."""
    if with_traceback or os.environ.get("NEXTMART_DEBUG"):
        say("".join(traceback.format_exception(error)))
    message = f"{type(error).__name__}: {error}" if with_traceback else str(error)
    message += error_advice(message) if isinstance(error, duckdb.Error) else ""
    print_message_and_exit(message, exit_code)


def print_message_and_exit(message: str, exit_code: int) -> NoReturn:
    """Print on stderr why the command ends, with ``--json`` also as JSON on stdout, and end the process."""
    if wants_json():
        print_result(json.dumps({"error": message, "exit_code": exit_code}))
    say(f"nextmart: {message}")
    sys.exit(exit_code)
