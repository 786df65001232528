"""The options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Warehouse = Annotated[Path | None, typer.Option(help="DuckDB file (setting: warehouse).", show_default=False)]
Published = Annotated[Path | None, typer.Option(help="Published file (setting: published).", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print a machine-readable summary on stdout.")]
WaitSeconds = Annotated[
    float | None,
    typer.Option(
        "--wait",
        min=0,
        help="Seconds to wait while another process holds the warehouse (setting: wait_seconds).",
        show_default=False,
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show dbt's own log too.")]
AllowShrink = Annotated[
    bool, typer.Option("--allow-shrink", help="Publish even if much less is in the tables than in the live file.")
]
Create = Annotated[bool, typer.Option("--create", help="Make the warehouse if it is missing.")]
