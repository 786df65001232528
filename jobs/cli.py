"""The command line: reads settings, opens the warehouse, calls one job, prints the result.

Results go to stdout: a report for people, or with ``--json`` a summary for machines, of an error too. Progress,
warnings and errors go to stderr.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted by Ctrl-C, 143 ended by SIGTERM.
"""

import io
import json
import os
import shlex
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from datetime import UTC, datetime, time
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, NoReturn

import duckdb
import typer
from typer.core import TyperGroup

from jobs.commands import load_options
from jobs.commands.demo_files import WORK_FOLDER, remove_earlier_demo
from jobs.commands.demo_shop import DEMO_SETTINGS, make_shop
from jobs.commands.forget import Person, forget
from jobs.commands.forgotten_copies import forget_in_copies
from jobs.commands.init import propose
from jobs.commands.load import check, load
from jobs.commands.load_texts import load_texts
from jobs.commands.maintain import back_up, maintain
from jobs.commands.maintain import summary_lines as maintenance_lines
from jobs.commands.publish import publish
from jobs.commands.restore import list_of_copies, restore
from jobs.commands.status import status
from jobs.commands.terminal import embed_summary_line, print_plans, print_recommendations, print_status
from jobs.embedding.backfill import EmbedOptions
from jobs.embedding.plan import plan_embedding, plans_as_dictionary
from jobs.errors import NextmartError, UsageError, redact
from jobs.interruption import Interruption, interruptible, stopping
from jobs.loading.attached_tables import source_databases
from jobs.loading.sources import LoadRules
from jobs.orchestration.dbt_build import dbt_build, published_counts
from jobs.orchestration.run_job import run_job
from jobs.orchestration.settings_check import require_sound_settings
from jobs.orchestration.torchrun import is_one_of_several_processes, require_single_process
from jobs.os_errors import os_error_text
from jobs.progress import report, say, stage_line
from jobs.settings import FILE_NAME, Settings, load_settings
from jobs.warehouse.attached import attach_needed, naming_databases
from jobs.warehouse.clock import now
from jobs.warehouse.clock_check import clock_warning
from jobs.warehouse.connection import Connection, connect, prepare_warehouse
from jobs.warehouse.damage import damage_advice
from jobs.warehouse.dbt_tables import require_present_columns
from jobs.warehouse.job_runs import job_run
from jobs.warehouse.lock import SECONDS_FOR_READERS, lock_file, warehouse_lock
from jobs.warehouse.missing import require_no_orphan, require_warehouse
from jobs.warehouse.schema import full_refresh_reasons, record_full_refresh, require_present_version


class Commands(TyperGroup):
    """The commands; Ctrl-C and SIGTERM end each of them with a message, and an exit code of the signal."""

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
            _print_message_and_exit(message, interruption.exit_code)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

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


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        report(f"nextmart {version('nextmart')}")
        raise typer.Exit


@contextmanager
def open_warehouse(
    settings: Settings,
    databases: Iterable[str] = (),
    *,
    view_schemas: Collection[str] | None = None,
    is_first_in_command: bool = True,
    create: bool = False,
) -> Iterator[Connection]:
    """Take the warehouse's lock, open the warehouse, and create the jobs' tables that are missing; close it at the end.

    Of the databases of ``[attach]``, those are attached that ``databases`` names, and those that views read; only views
    in ``view_schemas`` count, if that is given. The first opening in a command warns of a clock that has jumped.

    Raises
    ------
    NextmartError
        If there is no warehouse, unless ``create`` lets the command make one, or if another command still holds the
        warehouse after ``wait_seconds``.
    """
    if not create:
        require_warehouse(settings.warehouse)
    until = monotonic() + settings.wait_seconds
    with warehouse_lock(settings.warehouse, settings.wait_seconds):
        connection = connect(settings.warehouse, wait_seconds=max(0.0, until - monotonic()))
        try:
            prepare_warehouse(connection)
            if is_first_in_command and (warning := clock_warning(connection, now())):
                say(warning)
            attach_needed(connection, settings.attach, databases, view_schemas)
            # a query goes on in DuckDB's threads after a signal, and the next one would wait for its end
            with naming_databases(connection), stopping(connection.interrupt):
                yield connection
        finally:
            connection.close()


def print_outcome(summary: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the outcome on stdout: ``text`` for people, or ``summary`` as JSON for machines."""
    report(json.dumps(summary, default=str) if as_json else text)


@app.command("load")
def load_command(
    feeds: load_options.Feeds = None,
    events: load_options.Events = None,
    items: load_options.Items = None,
    visitors: load_options.Visitors = None,
    map_: load_options.Maps = None,
    preset: load_options.PresetName = None,
    where_events: load_options.WhereEvents = None,
    where_items: load_options.WhereItems = None,
    where_visitors: load_options.WhereVisitors = None,
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
    """Append what is new of feeds, or files, to the raw tables; the same file twice changes nothing."""
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds)
    file_options = {
        "--map": map_,
        "--preset": preset,
        "--where-events": where_events,
        "--where-items": where_items,
        "--where-visitors": where_visitors,
        "--attributes": attributes,
        "--format": format_,
        "--encoding": encoding,
        "--delimiter": delimiter,
        "--no-header": no_header,
        "--columns": columns,
        "--time-format": time_format,
        "--complete": complete,
    }
    files = {"items": items or [], "events": events or [], "visitors": visitors or []}
    sources = load_options.chosen_sources(settings, feeds or [], files, file_options, allow_sql_io)
    databases = source_databases(settings.attach, [source.path for source in sources])
    rules = LoadRules(settings.merged_vars(), 1.0 if allow_mass_withdrawal else settings.max_withdrawn_share)
    if check_only:
        # without a warehouse, `load --check` checks against an empty one in memory, which leaves no file
        path = settings.warehouse if settings.warehouse.exists() else Path(":memory:")
        with (
            warehouse_lock(settings.warehouse, settings.wait_seconds) if path.exists() else nullcontext(),
            closing(connect(path, wait_seconds=settings.wait_seconds)) as connection,
        ):
            attach_needed(connection, settings.attach, databases)
            run_record, reports = check(connection, sources, rules)
    else:
        if not create:
            require_no_orphan(settings.warehouse, settings.published)
        with (
            open_warehouse(settings, databases, create=True) as connection,
            job_run(connection, "load") as run_record,
        ):
            reports = load(connection, sources, run_record, rules)
    texts = load_texts(run_record.detail, reports, is_check=check_only)
    print_outcome(run_record.summary(), "\n".join(texts) or "nothing is new", as_json)
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
    proposal = propose(files)
    if print_only and not as_json:
        report(proposal.text.removesuffix("\n"))
    elif not print_only:
        with target.open("x", encoding="utf-8") as output:
            output.write(proposal.text)
    summary = {"written": None if print_only else str(target), **proposal.as_dictionary()}
    done = "printed" if print_only else f"{FILE_NAME} written"
    asked = f"; questions to answer, in lines that begin with #?: {proposal.questions}" if proposal.questions else ""
    lines = [f"{done}{asked}", *proposal.lines(), "next: nextmart load --check"]
    if print_only and not as_json:  # stdout holds the settings alone, so that they can go to a file
        say("\n".join(lines))
    else:
        print_outcome(summary, "\n".join(lines), as_json)


@app.command("run")
def run_command(
    full_refresh: Annotated[bool, typer.Option(help="Rebuild every incremental table from raw.")] = False,
    create: Create = False,
    allow_shrink: AllowShrink = False,
    warehouse: Warehouse = None,
    published: Published = None,
    wait_seconds: WaitSeconds = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Build and test everything with dbt, jobs included, then publish."""
    require_single_process()
    settings = load_settings(warehouse=warehouse, published=published, wait_seconds=wait_seconds)
    require_sound_settings(settings)
    if not create:
        require_warehouse(settings.warehouse, "; `nextmart run --create` makes an empty one at this path")
    with warehouse_lock(settings.warehouse, settings.wait_seconds):
        # opening the warehouse raises an error, before dbt starts, if a program has it open, or attaching fails
        with open_warehouse(settings, settings.attach, create=create) as connection:
            if not full_refresh:
                require_present_columns(connection)
                for reason in full_refresh_reasons(connection):
                    say(f"WARN: {reason}; `nextmart run --full-refresh` builds them anew")
        summary = _build_and_publish(settings, full_refresh=full_refresh, allow_shrink=allow_shrink, verbose=verbose)
        for line in maintenance_lines(maintain(_patient(settings), at_night=True)):
            say(line)
    print_outcome(summary, f"published {settings.published}: {published_counts(summary)}", as_json)


@app.command("publish")
def publish_command(
    allow_shrink: AllowShrink = False,
    warehouse: Warehouse = None,
    published: Published = None,
    wait_seconds: WaitSeconds = None,
    as_json: Json = False,
) -> None:
    """Swap in a verified copy of the public tables for readers."""
    settings = load_settings(warehouse=warehouse, published=published, wait_seconds=wait_seconds)
    summary = _publish(settings, allow_shrink=allow_shrink)
    print_outcome(summary, f"published {settings.published}: {published_counts(summary)}", as_json)


def _build_and_publish(
    settings: Settings, *, full_refresh: bool = False, allow_shrink: bool = False, verbose: bool
) -> dict[str, Any]:
    """Build everything and publish it; a program that opens the warehouse in between is waited for."""
    dbt_build(settings, ("--full-refresh",) if full_refresh else (), verbose=verbose)
    if full_refresh:
        with open_warehouse(_patient(settings), view_schemas=(), is_first_in_command=False) as connection:
            record_full_refresh(connection)
    return _publish(_patient(settings), allow_shrink=allow_shrink, is_first_in_command=False)


def _patient(settings: Settings) -> Settings:
    """Return settings for a run that has begun, which must not fail because a program has the warehouse open."""
    return settings.model_copy(update={"wait_seconds": max(settings.wait_seconds, SECONDS_FOR_READERS)})


def _publish(settings: Settings, *, allow_shrink: bool = False, is_first_in_command: bool = True) -> dict[str, Any]:
    started_at = monotonic()
    with (
        open_warehouse(
            settings, view_schemas=("recommendations",), is_first_in_command=is_first_in_command
        ) as connection,
        job_run(connection, "publish") as run_record,
    ):
        publish(connection, settings, run_record, allow_shrink=allow_shrink)
    say(stage_line("publish", f"{run_record.rows_out:,} rows, verified", monotonic() - started_at))
    return run_record.summary()


@contextmanager
def _explain_missing_tables(job_name: str) -> Iterator[None]:
    try:
        yield
    except duckdb.CatalogException as error:
        raise NextmartError(
            f"{job_name} reads tables that dbt has not built yet: run `nextmart run` once. ({error})"
        ) from error


def _add_job_command(job_name: str, help_text: str) -> None:
    def job_command(warehouse: Warehouse = None, wait_seconds: WaitSeconds = None, as_json: Json = False) -> None:
        settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds)
        with open_warehouse(settings) as connection, _explain_missing_tables(job_name):
            done = run_job(job_name, connection, settings)
        print_outcome(
            done, f"{job_name}: {done['status']}, {done['rows_out']:,} rows written {done['detail']}", as_json
        )

    app.command(job_name, help=help_text)(job_command)


@app.command("embed")
def embed_command(
    model: Annotated[
        str | None, typer.Option(help="Fill another of embedding_models; the set one serves on.", show_default=False)
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="Get the same vectors another way: openai-batch.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do, cost and take; spend nothing.")
    ] = False,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="US dollars; no request is made that would pass it.", show_default=False)
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again about texts that failed.")] = False,
    warehouse: Warehouse = None,
    wait_seconds: WaitSeconds = None,
    as_json: Json = False,
) -> None:
    """Give every item text without an embedding one."""
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds).with_embedding_model(model, provider)
    with open_warehouse(settings) as connection, _explain_missing_tables("embed"):
        if dry_run:
            embedding_plans = plan_embedding(connection, settings, retry_failed)
            if as_json:
                print_outcome(plans_as_dictionary(embedding_plans), "", as_json)
            else:
                print_plans(embedding_plans)
            return
        done = run_job("embed", connection, settings, options=EmbedOptions(max_cost, retry_failed))
    print_outcome(done, embed_summary_line(done), as_json)
    if done["status"] == "incomplete":
        sys.exit(1)


_add_job_command("train", "Train the models that are no longer fresh.")
_add_job_command("evaluate", "Measure new models on the hold-out and choose the live one.")
_add_job_command("recommend", "Write a run of recommendations with the live model.")


@app.command("experiment")
def experiment_command(
    file: Annotated[Path, typer.Argument(help="What to compare, as TOML; experiments/ holds examples.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the report and its plot.", show_default="experiments in work_folder")
    ] = None,
    max_cost: Annotated[float, typer.Option(min=0, help="US dollars that vectors of other item texts may cost.")] = 0,
    warehouse: Warehouse = None,
    wait_seconds: WaitSeconds = None,
    as_json: Json = False,
) -> None:
    """Compare models, seeds and settings on one protocol; what is done already is not done again."""
    from jobs.experiments.command import experiment  # imported here, because other commands need not load torch
    from jobs.experiments.spec import read_experiment

    spec = read_experiment(file)
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds)
    folder = output or settings.work_folder / "experiments"
    with (
        open_warehouse(settings) as connection,
        _explain_missing_tables("experiment"),
        job_run(connection, "experiment") as run_record,
    ):
        text = experiment(connection, settings, run_record, spec, folder, max_cost)
    print_outcome(run_record.summary(), text, as_json)
    if run_record.status == "incomplete":
        sys.exit(1)


def _run_live_model_job(
    job_name: str, warehouse: Path | None, wait_seconds: float | None, as_json: bool, **options: Any
) -> None:
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds)
    with open_warehouse(settings) as connection:
        done = run_job(job_name, connection, settings, **options)
    print_outcome(done, f"{job_name}: {done['detail']['says']}", as_json)


@app.command("pin")
def pin_command(
    model_version: str, warehouse: Warehouse = None, wait_seconds: WaitSeconds = None, as_json: Json = False
) -> None:
    """Make one model live until `nextmart unpin`; training goes on, and changes nothing about that."""
    _run_live_model_job("pin", warehouse, wait_seconds, as_json, model_version=model_version)


@app.command("unpin")
def unpin_command(warehouse: Warehouse = None, wait_seconds: WaitSeconds = None, as_json: Json = False) -> None:
    """Let the next night choose the live model again."""
    _run_live_model_job("unpin", warehouse, wait_seconds, as_json)


@app.command("rollback")
def rollback_command(warehouse: Warehouse = None, wait_seconds: WaitSeconds = None, as_json: Json = False) -> None:
    """Make the model live, and pin it, that was live before this one."""
    _run_live_model_job("rollback", warehouse, wait_seconds, as_json)


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
    with warehouse_lock(settings.warehouse, settings.wait_seconds):
        with open_warehouse(settings) as connection, job_run(connection, "forget") as run_record:
            visitors = forget(connection, settings, person, run_record)
        copies = forget_in_copies(settings, person, visitors)
    deleted, due = run_record.detail["deleted"], run_record.detail["due_for_retraining"]
    rows = [f"{count:,} of {table}" for table, count in deleted.items() if count]
    rows += [f"{run_record.detail['published']:,} published"] if run_record.detail["published"] else []
    lines = [f"forgotten, in rows: {', '.join(rows)}" if rows else f"nothing is kept of this {person.scope}"]
    lines += [f"due for retraining, which the next `nextmart run` does: {', '.join(due)}"] if rows and due else []
    if rows and (out_of_reach := run_record.detail["out_of_reach"]):
        lines.append(f"out of reach, delete it at the service: {', '.join(out_of_reach)}")
    if problem := run_record.detail["published_problem"]:
        lines.append(f"{settings.published} can't be read, and may still hold the {person.scope}: {problem}")
        lines.append("`nextmart publish` writes the file anew")
    print_outcome({**run_record.summary(), "copies": copies.summary()}, "\n".join([*lines, *copies.lines()]), as_json)
    if problem or copies.still_held:
        sys.exit(1)


@app.command("maintain")
def maintain_command(warehouse: Warehouse = None, wait_seconds: WaitSeconds = None, as_json: Json = False) -> None:
    """Upgrade the warehouse, delete what is past retention, compact the file if much is free, take a copy if set."""
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
    summary = {"file": str(backup.path), "bytes": backup.bytes}
    print_outcome(summary, f"copied and verified: {backup.path}, {backup.bytes / 1e6:,.1f} MB", as_json)


@app.command("restore")
def restore_command(
    copy: Annotated[Path | None, typer.Argument(help="The copy; the newest good one by default.")] = None,
    list_copies: Annotated[bool, typer.Option("--list", help="List the copies, and restore none.")] = False,
    warehouse: Warehouse = None,
    as_json: Json = False,
) -> None:
    """Put a copy in the place of the warehouse, which is kept beside it."""
    settings = load_settings(warehouse=warehouse)
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
        require_present_version(connection)
        try:
            attach_needed(connection, settings.attach)
        except NextmartError as error:  # the state is shown without the tables that read the unreachable database
            say(f"WARN: {redact(str(error))}")
        state = status(connection, settings)
    finally:
        connection.close()
    if as_json:
        print_outcome(state, "", as_json)
    else:
        print_status(state)


@app.command("demo")
def demo_command(
    visitors: Annotated[int, typer.Option(min=20)] = 1000,
    items: Annotated[int, typer.Option(min=50)] = 1500,
    seed: int = 0,
    until: Annotated[
        datetime | None, typer.Option(help="End of the shop's history (UTC).", show_default="today")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the demo's two files go.")] = Path("demo"),
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Make a small shop, run everything on it, and print recommendations."""
    require_single_process()
    end = (until or datetime.combine(datetime.now(UTC).date(), time())).replace(tzinfo=UTC)
    settings = load_settings(
        warehouse=folder / "warehouse.duckdb",
        published=folder / "published.duckdb",
        work_folder=folder / WORK_FOLDER,
        **DEMO_SETTINGS,
    )
    with ExitStack() as turn:
        if lock_file(settings.warehouse).exists():  # else nobody has it, and a refused demo leaves none
            turn.enter_context(warehouse_lock(settings.warehouse))
        remove_earlier_demo(settings.warehouse, settings.published)
        turn.enter_context(warehouse_lock(settings.warehouse))
        with open_warehouse(settings, create=True) as connection, job_run(connection, "demo"):
            make_shop(connection, visitor_count=visitors, item_count=items, seed=seed, history_end=end)
        summary = _build_and_publish(settings, verbose=verbose)
    if as_json:
        print_outcome(summary, "", as_json)
    else:
        print_recommendations(settings.published, settings.warehouse)


@app.callback()
def options_of_every_command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version, and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Next-item recommendation tables from a warehouse's own events and catalogue."""


def main() -> None:
    """Run the command line; known errors print as one clear message, with ``--json`` as JSON on stdout too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that can't show a sign is no reason to fail
    try:
        if is_one_of_several_processes():
            from jobs.orchestration import workers  # imported here, because a single process need not load torch

            workers.run_with_workers(_run_app)
        else:
            _run_app()
    except UsageError as error:
        _print_error_and_exit(error, 2)
    except (NextmartError, duckdb.Error) as error:
        _print_error_and_exit(error, 1)
    except OSError as error:
        _print_error_and_exit(NextmartError(os_error_text(error)).with_traceback(error.__traceback__), 1)
    except Exception as error:  # a fault of nextmart: the traceback shows where
        _print_error_and_exit(error, 1, with_traceback=True)


def _run_app() -> None:
    """Run the command that the arguments name; a wrong argument is a UsageError if the caller wants JSON."""
    if not _wants_json():
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


def _wants_json() -> bool:
    return "--json" in sys.argv[1:]


def _print_error_and_exit(error: Exception, exit_code: int, *, with_traceback: bool = False) -> None:
    if with_traceback or os.environ.get("NEXTMART_DEBUG"):
        say("".join(traceback.format_exception(error)))
    message = f"{type(error).__name__}: {error}" if with_traceback else str(error)
    message += damage_advice(message) if isinstance(error, duckdb.Error) else ""
    _print_message_and_exit(message, exit_code)


def _print_message_and_exit(message: str, exit_code: int) -> NoReturn:
    if _wants_json():
        report(json.dumps({"error": message, "exit_code": exit_code}))
    say(f"nextmart: {message}")
    sys.exit(exit_code)
