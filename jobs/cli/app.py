"""The app to which the other modules add their commands."""

import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jobs.cli.output import print_message_and_exit
from jobs.errors import redact
from jobs.interruption import Interruption, interruptible
from jobs.progress import print_result


class InterruptibleCommands(TyperGroup):
    """The group of all commands. If Ctrl-C or SIGTERM ends one, a message says so; the exit code tells the signal."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command that was typed."""
        try:
            with interruptible():
                return super().invoke(ctx)
        except Interruption as interruption:
            typed = redact(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
            message = (
                f"interrupted by {interruption.source}; what was committed stays. "
                f"To go on from there, type it again: {typed}"
            )
            print_message_and_exit(message, interruption.exit_code)


app = typer.Typer(
    cls=InterruptibleCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        print_result(f"nextmart {version('nextmart')}")
        raise typer.Exit


@app.callback(help="Next-item recommendation tables from a warehouse's own events and catalogue.")
def options_of_every_command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version, and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Take the options that stand before the command's name."""
