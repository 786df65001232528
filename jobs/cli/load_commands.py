"""The commands that bring data into the warehouse: `load`, and `init`, which proposes the settings for it."""

import shlex
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.app import app
from jobs.cli.options import Create, Json, WaitSeconds, Warehouse
from jobs.cli.output import print_outcome
from jobs.cli.warehouse_opening import open_warehouse
from jobs.commands import load_options
from jobs.commands.init import make_init_proposal
from jobs.commands.load import load, load_and_roll_back
from jobs.commands.load_summary import load_summary_lines
from jobs.errors import UsageError
from jobs.loading.attached_tables import source_databases
from jobs.loading.feed_settings import Feed
from jobs.loading.sources import LoadRules
from jobs.progress import print_result, say
from jobs.settings import load_settings
from jobs.settings_file import FILE_NAME
from jobs.warehouse.attached_databases import attach_needed_databases
from jobs.warehouse.connection import connect
from jobs.warehouse.job_runs import job_run
from jobs.warehouse.lock import warehouse_lock
from jobs.warehouse.missing_warehouse import require_no_orphaned_publication


@app.command("load")
def load_command(
    feeds: load_options.Feeds = None,
    events: load_options.Events = None,
    items: load_options.Items = None,
    visitors: load_options.Visitors = None,
    impressions: load_options.Impressions = None,
    map_: load_options.Maps = None,
    preset: load_options.PresetName = None,
    where_events: load_options.WhereEvents = None,
    where_items: load_options.WhereItems = None,
    where_visitors: load_options.WhereVisitors = None,
    where_impressions: load_options.WhereImpressions = None,
    attributes: load_options.KeptAttributes = None,
    format_: load_options.Format = None,
    encoding: load_options.Encoding = None,
    delimiter: load_options.Delimiter = None,
    no_header: load_options.NoHeader = False,
    columns: load_options.Columns = None,
    time_format: load_options.TimeFormats = None,
    complete: load_options.Complete = False,
    allow_mass_withdrawal: load_options.AllowMassWithdrawal = False,
    allow_sql_io: load_options.AllowSqlIo = False,
    check_only: load_options.Check = False,
    create: Create = False,
    warehouse: Warehouse = None,
    wait_seconds: WaitSeconds = None,
    as_json: Json = False,
) -> None:
    """Append the new rows of feeds or files to the raw tables; to load a file a second time changes nothing."""
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds)
    file_options = {
        "--map": map_,
        "--preset": preset,
        "--where-events": where_events,
        "--where-items": where_items,
        "--where-visitors": where_visitors,
        "--where-impressions": where_impressions,
        "--attributes": attributes,
        "--format": format_,
        "--encoding": encoding,
        "--delimiter": delimiter,
        "--no-header": no_header,
        "--columns": columns,
        "--time-format": time_format,
        "--complete": complete,
    }
    files = {
        "items": items or [],
        "events": events or [],
        "visitors": visitors or [],
        "impressions": impressions or [],
    }
    sources = load_options.chosen_sources(settings, feeds or [], files, file_options, allow_sql_io)
    paths = [source.attached_table if isinstance(source, Feed) else source.path for source in sources]
    databases = source_databases(settings.attach, paths)
    rules = LoadRules(settings.merged_vars(), 1.0 if allow_mass_withdrawal else settings.max_withdrawn_share)
    if check_only:
        # without a warehouse, `load --check` checks against an empty one in memory, which leaves no file
        path = settings.warehouse if settings.warehouse.exists() else Path(":memory:")
        with (
            warehouse_lock(settings.warehouse, settings.wait_seconds) if path.exists() else nullcontext(),
            closing(connect(path, wait_seconds=settings.wait_seconds)) as connection,
        ):
            attach_needed_databases(connection, settings.attach, databases)
            run_record, reports = load_and_roll_back(connection, sources, rules)
    else:
        if not create:
            require_no_orphaned_publication(settings.warehouse, settings.published)
        with (
            open_warehouse(settings, databases, create_if_missing=True) as connection,
            job_run(connection, "load") as run_record,
        ):
            reports = load(connection, sources, run_record, rules)
    texts = load_summary_lines(run_record.detail, reports, was_rolled_back=check_only)
    print_outcome(run_record.as_dictionary(), "\n".join(texts) or "nothing is new", as_json)
    if run_record.status == "unusable":
        sys.exit(1)


@app.command("init")
def init_command(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Files of events and items, in any format that load reads; folders, globs."),
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the settings on stdout, and write no file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at files, and write a nextmart.toml that says how to load them, with the evidence for each guess."""
    target = Path(FILE_NAME)
    if target.exists() and not print_only:
        raise UsageError(
            f"{FILE_NAME} exists already, and stays as it is. Print the proposal (--print), or start in another folder."
        )
    if not files:
        if not sys.stdin.isatty():
            raise UsageError("say what to look at: nextmart init FILE [FILE ...]; folders and globs too")
        files = shlex.split(typer.prompt("Files or folders with events and items, with blanks between them", err=True))
    proposal = make_init_proposal(files)
    if print_only and not as_json:
        print_result(proposal.toml_text.removesuffix("\n"))
    elif not print_only:
        with target.open("x", encoding="utf-8") as output:
            output.write(proposal.toml_text)
    summary = {"written": None if print_only else str(target), **proposal.as_dictionary()}
    done = "printed" if print_only else f"{FILE_NAME} written"
    asked = (
        f"; questions to answer, in lines that begin with #?: {proposal.question_count}"
        if proposal.question_count
        else ""
    )
    lines = [f"{done}{asked}", *proposal.terminal_lines(), "next: nextmart load --check"]
    if print_only and not as_json:  # stdout holds the settings alone, so that they can go to a file
        say("\n".join(lines))
    else:
        print_outcome(summary, "\n".join(lines), as_json)
