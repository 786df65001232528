"""The entry point: runs the command that was typed, and ends with its exit code."""

import io
import sys
from typing import Any

import duckdb

from jobs.cli.app import app
from jobs.cli.output import print_error_and_exit, wants_json
from jobs.errors import NextmartError, UsageError
from jobs.orchestration.torchrun import is_one_of_several_processes
from jobs.os_errors import os_error_text


def main() -> None:
    """Run the command line, and print an expected error as one message; with ``--json`` also as JSON on stdout."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # signs that the terminal can't show are escaped
    try:
        if is_one_of_several_processes():
            from jobs.orchestration import workers  # imported here, because a single process need not load torch

            workers.run_with_workers(_run_app)
        else:
            _run_app()
    except UsageError as error:
        print_error_and_exit(error, 2)
    except (NextmartError, duckdb.Error) as error:
        print_error_and_exit(error, 1)
    except OSError as error:
        print_error_and_exit(NextmartError(os_error_text(error)).with_traceback(error.__traceback__), 1)
    except Exception as error:  # a fault of nextmart: the traceback shows where
        print_error_and_exit(error, 1, with_traceback=True)


def _run_app() -> None:
    """Run the command that the arguments name; with ``--json``, a wrong argument raises UsageError."""
    if not wants_json():
        app()
        return
    try:
        exit_code = app(standalone_mode=False)
    except Exception as error:
        message: Any = getattr(error, "format_message", None)  # typer's errors in usage have it, and no public class
        if message is None:
            raise
        raise UsageError(message()) from error
    sys.exit(exit_code or 0)
