"""The command line: reads settings, opens the warehouse, calls one thing, prints the result.

Results go to stdout: a report for people, or with ``--json`` a summary for machines, of an error too. Progress,
warnings and errors go to stderr.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted by Ctrl-C, 143 ended by SIGTERM.

May import every other folder.
"""

# the import of these modules adds their commands to the app, in this order
from jobs.cli import load_commands, night_commands, model_commands, upkeep_commands, report_command  # isort: skip
from jobs.cli.app import app
from jobs.cli.entry import main

__all__ = ["app", "load_commands", "main", "model_commands", "night_commands", "report_command", "upkeep_commands"]
