"""The commands that inspect and maintain the warehouse: `status`, `forget`, `maintain`, `backup` and `restore`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.app import app
from jobs.cli.options import Json, Published, WaitSeconds, Warehouse
from jobs.cli.output import print_outcome
from jobs.cli.warehouse_opening import open_warehouse
from jobs.commands.backups_of_person import delete_copies_holding_person
from jobs.commands.forget import forget
from jobs.commands.maintain import back_up, maintain
from jobs.commands.maintain import summary_lines as maintenance_lines
from jobs.commands.person import Person
from jobs.commands.restore import list_of_copies, restore
from jobs.commands.status import read_status
from jobs.commands.terminal import print_status
from jobs.errors import NextmartError, redact
from jobs.progress import say
from jobs.publishing.other_published_files import other_files_holding_visitors
from jobs.publishing.publication_history import has_any_publication
from jobs.publishing.targets.copying import problem_lines
from jobs.publishing.targets.withdrawal_of_person import names_of_ducklake_targets, withdraw_person_from_targets
from jobs.reporting.person_withdrawal import withdraw_person_from_report
from jobs.settings import load_settings
from jobs.warehouse.attached_databases import attach_needed_databases
from jobs.warehouse.connection import connect
from jobs.warehouse.job_runs import job_run
from jobs.warehouse.lock import warehouse_lock
from jobs.warehouse.missing_warehouse import require_warehouse
from jobs.warehouse.schema import require_current_version


@app.command("forget")
def forget_command(
    visitor: Annotated[str | None, typer.Option(help="A visitor_id.", show_default=False)] = None,
    user: Annotated[
        str | None, typer.Option(help="A user_id; events without a login on their devices go too.", show_default=False)
    ] = None,
    warehouse: Warehouse = None,
    published: Published = None,
    wait_seconds: WaitSeconds = None,
    as_json: Json = False,
) -> None:
    """Delete all that is kept of one person, in the warehouse and in the published file."""
    person = Person.from_ids(visitor, user)
    settings = load_settings(warehouse=warehouse, published=published, wait_seconds=wait_seconds)
    require_warehouse(settings.warehouse)
    with warehouse_lock(settings.warehouse, settings.wait_seconds):
        with open_warehouse(settings) as connection, job_run(connection, "forget") as run_record:
            visitor_ids = forget(connection, settings, person, run_record)
            was_ever_published = has_any_publication(connection)
            other_files = other_files_holding_visitors(connection, settings.published, visitor_ids)
        copies = delete_copies_holding_person(settings, person, visitor_ids)
        targets = withdraw_person_from_targets(
            settings,
            was_ever_published=was_ever_published,
            is_published_file_clean=not run_record.detail["published_problem"],
        )
        report = withdraw_person_from_report(settings)
    deleted, due = run_record.detail["deleted"], run_record.detail["due_for_retraining"]
    rows = [f"{count:,} of {table}" for table, count in deleted.items() if count]
    rows += [f"{run_record.detail['published']:,} published"] if run_record.detail["published"] else []
    lines = [f"forgotten, in rows: {', '.join(rows)}" if rows else f"nothing is kept of this {person.id_type}"]
    if rows and due:
        lines.append(f"these models have learnt from the {person.id_type}: {', '.join(due)}")
        lines.append("the next `nextmart run` drops their weights, and trains the families of the setting models anew")
    if rows and (out_of_reach := run_record.detail["out_of_reach"]):
        lines.append(f"out of reach, delete it at the service: {', '.join(out_of_reach)}")
    if problem := run_record.detail["published_problem"]:
        lines.append(f"{settings.published} can't be read, and may still hold the {person.id_type}: {problem}")
        lines.append("`nextmart publish` writes the file anew")
    for file in other_files:
        lines.append(f"{file}, which was published from this warehouse too, may still hold the {person.id_type}")
        lines.append(f"`nextmart publish --published {shlex.quote(str(file))}` writes it anew; or delete it")
    still_in_targets = [f"{line}; it may still hold the {person.id_type}" for line in problem_lines(targets)]
    lines += [*still_in_targets, "`nextmart publish` writes these targets anew"] if still_in_targets else []
    lines += [
        f"earlier snapshots of {lake} hold the {person.id_type} until they are expired"
        for lake in names_of_ducklake_targets(settings)
    ]
    lines += report.terminal_lines(person.id_type) if report else []
    summary = {
        **run_record.as_dictionary(), "copies": copies.as_dictionary(), "targets": targets,
        "report": report.as_dictionary() if report else None,
        "other_published_files": [str(file) for file in other_files],
    }  # fmt: skip
    print_outcome(summary, "\n".join([*lines, *copies.terminal_lines()]), as_json)
    report_problem = report.problem if report else ""
    if problem or other_files or copies.warnings_about_remaining_files or still_in_targets or report_problem:
        sys.exit(1)


@app.command("maintain")
def maintain_command(warehouse: Warehouse = None, wait_seconds: WaitSeconds = None, as_json: Json = False) -> None:
    """Upgrade the warehouse, delete old rows, compact the file if much is free, copy it if `backups_kept` is set."""
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds)
    require_warehouse(settings.warehouse)
    with warehouse_lock(settings.warehouse, settings.wait_seconds):
        summary = maintain(settings)
    print_outcome(summary, "\n".join(maintenance_lines(summary)) or "nothing is to be done", as_json)


@app.command("backup")
def backup_command(warehouse: Warehouse = None, wait_seconds: WaitSeconds = None, as_json: Json = False) -> None:
    """Take a copy of the warehouse now, and verify it row by row."""
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds)
    require_warehouse(settings.warehouse)
    with warehouse_lock(settings.warehouse, settings.wait_seconds):
        backup = back_up(settings)
    summary = {"file": str(backup.path), "bytes": backup.size_bytes}
    print_outcome(summary, f"copied and verified: {backup.path}, {backup.size_bytes / 1e6:,.1f} MB", as_json)


@app.command("restore")
def restore_command(
    copy: Annotated[Path | None, typer.Argument(help="The copy; the newest good one by default.")] = None,
    list_copies: Annotated[bool, typer.Option("--list", help="List the copies, and restore none.")] = False,
    warehouse: Warehouse = None,
    wait_seconds: WaitSeconds = None,
    as_json: Json = False,
) -> None:
    """Replace the warehouse by a copy of it; the replaced file is kept beside it."""
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds)
    if list_copies:
        summary, text = list_of_copies(settings)
    else:
        with warehouse_lock(settings.warehouse, settings.wait_seconds):
            summary, text = restore(settings, copy)
    print_outcome(summary, text, as_json)


@app.command("status")
def status_command(
    warehouse: Warehouse = None, published: Published = None, wait_seconds: WaitSeconds = None, as_json: Json = False
) -> None:
    """Show counts, the last run of each job, the live model and what is published."""
    settings = load_settings(warehouse=warehouse, published=published, wait_seconds=wait_seconds)
    require_warehouse(settings.warehouse)
    connection = connect(settings.warehouse, read_only=True, wait_seconds=settings.wait_seconds)
    try:
        require_current_version(connection)
        try:
            attach_needed_databases(connection, settings.attach)
        except NextmartError as error:  # the state is shown without the tables that read the unreachable database
            say(f"WARN: {redact(str(error))}")
        state = read_status(connection, settings)
    finally:
        connection.close()
    if as_json:
        print_outcome(state, "", as_json)
    else:
        print_status(state)
