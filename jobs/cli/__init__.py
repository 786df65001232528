"""The command line: a command reads the settings, opens the warehouse, calls one function and prints the result.

Results go to stdout: a text for people, or with ``--json`` a summary for machines. With ``--json`` an error goes to
stdout too. Progress, warnings and errors go to stderr.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted by Ctrl-C, 143 ended by SIGTERM.

May import every other folder.
"""

# the import of these modules adds their commands to the app, in this order
from jobs.cli import load_commands, night_commands, model_commands, upkeep_commands, report_command  # isort: skip
from jobs.cli.app import app
from jobs.cli.entry import main

__all__ = ["app", "load_commands", "main", "model_commands", "night_commands", "report_command", "upkeep_commands"]
