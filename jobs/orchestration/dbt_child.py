"""The process in which `nextmart run` lets dbt build. It ends when the process that started it has ended."""

import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Final

from jobs.os_errors import os_error_text
from jobs.progress import say

STDIN: Final = 0


def main() -> None:
    """Run dbt with the arguments of this process, as the command ``dbt`` does.

    Ctrl-C in a terminal reaches this process too. It is ignored here, because the parent process ends the build.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _install_warning_about_lost_log_lines()
    # dbt is imported only now, so that the parent is watched during the import too
    from dbt.cli.main import cli

    sys.exit(cli())


def _install_warning_about_lost_log_lines() -> None:
    """Make logging print one warning if dbt's log can't be written, instead of a traceback for each lost line."""
    told: set[str] = set()

    def handle_error(handler: logging.Handler, record: logging.LogRecord) -> None:  # noqa: ARG001 - logging has both
        error = sys.exc_info()[1]
        text = os_error_text(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        if text not in told:
            told.add(text)
            with suppress(OSError):  # nobody reads the warning if the command that started this process has ended
                say(f"WARN: the log of dbt lacks lines: {text}")

    logging.Handler.handleError = handle_error  # type: ignore[assignment, method-assign]


def _end_with_parent() -> None:
    """End this process at once when the other end of its stdin is closed, as it is when the parent has ended.

    No more is lost than by a kill: the next run goes on from what was committed.
    """
    while os.read(STDIN, 1):
        pass
    say("the build ends, because the command that started it has ended")
    os._exit(1)
