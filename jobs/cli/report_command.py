"""The command `nextmart report`, which writes one HTML file about the warehouse."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.app import app
from jobs.cli.options import Json, Published, WaitSeconds, Warehouse
from jobs.cli.output import print_outcome
from jobs.reporting.nightly_report import require_report_packages
from jobs.reporting.report_file import report_path
from jobs.settings import load_settings
from jobs.warehouse.missing_warehouse import require_warehouse


@app.command("report")
def report_command(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The HTML file; by default that of the setting `report`, else report.html beside the published file.",
            show_default=False,
        ),
    ] = None,
    warehouse: Warehouse = None,
    published: Published = None,
    wait_seconds: WaitSeconds = None,
    as_json: Json = False,
) -> None:
    """Write one HTML file about the warehouse and its lists, which opens without a network."""
    settings = load_settings(warehouse=warehouse, published=published, wait_seconds=wait_seconds)
    require_report_packages("nextmart report")
    require_warehouse(settings.warehouse)
    from jobs.reporting.report import write_report  # the packages of this module may not be installed

    summary = write_report(settings, file or report_path(settings))
    print_outcome(summary, f"report: {summary['file']}, {summary['bytes'] / 1e6:.1f} MB", as_json)
