"""The commands that build and publish all tables: `run`, `publish`, and `demo`, which makes a shop of its own."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, time
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Annotated, Any

import pydantic
import typer

from jobs.cli.app import app
from jobs.cli.options import AllowShrink, Create, Json, Published, Verbose, WaitSeconds, Warehouse
from jobs.cli.output import print_outcome, print_outcome_with_failures
from jobs.cli.warehouse_opening import open_warehouse
from jobs.commands.demo_removal import WORK_FOLDER, remove_earlier_demo
from jobs.commands.demo_shop import DEMO_SETTINGS, make_demo_shop
from jobs.commands.maintain import maintain_after_publication
from jobs.commands.maintain import summary_lines as maintenance_lines
from jobs.commands.terminal import print_leaderboard_and_example_lists
from jobs.errors import NextmartError, UsageError
from jobs.orchestration.dbt_build import published_counts_line, run_dbt_build
from jobs.orchestration.settings_check import require_sound_settings
from jobs.orchestration.torchrun import require_single_process
from jobs.progress import print_result, say, stage_line
from jobs.publish_targets import PublishTarget, targets_by_setting
from jobs.publishing.publication_record import record_publication_if_missing
from jobs.publishing.publish import publish
from jobs.publishing.targets.copying import copy_to_targets, require_all_targets_copied
from jobs.reporting.nightly_report import (
    are_report_packages_installed,
    require_report_packages,
    write_report_after_publication,
)
from jobs.reporting.report_file import default_report_path
from jobs.settings import Settings, load_settings
from jobs.warehouse.dbt_tables import require_current_columns
from jobs.warehouse.job_runs import job_run
from jobs.warehouse.lock import SECONDS_FOR_READERS, lock_file_path, warehouse_lock
from jobs.warehouse.missing_warehouse import require_warehouse
from jobs.warehouse.schema import full_refresh_reasons, record_full_refresh


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
    if settings.report:
        require_report_packages("setting 'report'")
    if not create:
        require_warehouse(settings.warehouse, "; `nextmart run --create` makes an empty one at this path")
    with warehouse_lock(settings.warehouse, settings.wait_seconds):
        # opening the warehouse raises an error, before dbt starts, if a program has it open, or attaching fails
        with open_warehouse(settings, settings.attach, create_if_missing=create) as connection:
            # the build reads which lists are live, so an unrecorded publication is recorded before the build
            record_publication_if_missing(connection, settings.published)
            if not full_refresh:
                require_current_columns(connection)
                for reason in full_refresh_reasons(connection):
                    say(f"WARN: {reason}; `nextmart run --full-refresh` builds them anew")
        summary = _build_and_publish(settings, full_refresh=full_refresh, allow_shrink=allow_shrink, verbose=verbose)
        failures: list[NextmartError] = []
        try:
            for line in maintenance_lines(maintain_after_publication(_with_longer_wait(settings))):
                say(line)
        except NextmartError as error:  # the report is written all the same, and targets that failed are named too
            failures.append(error)
        if settings.report:
            write_report_after_publication(_with_longer_wait(settings), settings.report)
    _print_publication(settings, summary, as_json, failures)


@app.command("publish")
def publish_command(
    to: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="TYPE PATH",
            help="Copy the tables there as well, this once: parquet FOLDER, duckdb FILE, postgres TEXT, ducklake PATH.",
            show_default=False,
        ),
    ] = None,
    allow_shrink: AllowShrink = False,
    warehouse: Warehouse = None,
    published: Published = None,
    wait_seconds: WaitSeconds = None,
    as_json: Json = False,
) -> None:
    """Replace the published file by a verified copy of the public tables."""
    settings = load_settings(warehouse=warehouse, published=published, wait_seconds=wait_seconds)
    extra_targets = {"--to": _parse_extra_target(*to)} if to else {}
    summary = _publish(settings, allow_shrink=allow_shrink, extra_targets=extra_targets)
    _print_publication(settings, summary, as_json)


def _print_publication(
    settings: Settings, summary: dict[str, Any], as_json: bool, failures: Sequence[NextmartError] = ()
) -> None:
    """Print what was published; end with exit code 1 if a target could not get it, or if there are other failures."""
    problems = list(failures)
    try:
        require_all_targets_copied(summary["detail"]["targets"], settings.published)
    except NextmartError as error:
        problems.append(error)
    text = f"published {settings.published}: {published_counts_line(summary)}"
    print_outcome_with_failures(summary, text, as_json, problems)


def _parse_extra_target(type_name: str, path: str) -> PublishTarget:
    """Return the publish target that the option ``--to`` describes.

    Raises
    ------
    UsageError
        If the type or the path can't be used.
    """
    try:
        return PublishTarget.model_validate({"type": type_name, "path": path}).with_absolute_path(Path())
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        reason = str(problem["msg"]).removeprefix("Value error, ")
        raise UsageError(f"--to: {'.'.join(map(str, problem['loc']))} {reason}") from None


def _build_and_publish(
    settings: Settings, *, full_refresh: bool = False, allow_shrink: bool = False, verbose: bool
) -> dict[str, Any]:
    """Build everything and publish it. If a program opens the warehouse in between, wait until it has closed it."""
    run_dbt_build(settings, ("--full-refresh",) if full_refresh else (), verbose=verbose)
    if full_refresh:
        with open_warehouse(
            _with_longer_wait(settings), schemas_whose_views_are_read=(), is_first_opening_of_command=False
        ) as connection:
            record_full_refresh(connection)
    return _publish(_with_longer_wait(settings), allow_shrink=allow_shrink, is_first_opening_of_command=False)


def _with_longer_wait(settings: Settings) -> Settings:
    """Return settings with a longer wait for the warehouse.

    A run that has begun must not fail because another program has the warehouse open for a while.
    """
    return settings.model_copy(update={"wait_seconds": max(settings.wait_seconds, SECONDS_FOR_READERS)})


def _publish(
    settings: Settings,
    *,
    allow_shrink: bool = False,
    is_first_opening_of_command: bool = True,
    extra_targets: Mapping[str, PublishTarget] = MappingProxyType({}),
) -> dict[str, Any]:
    """Publish the tables, and copy them to the publish targets of the settings and of the command line."""
    started_at = monotonic()
    with (
        open_warehouse(
            settings,
            schemas_whose_views_are_read=("recommendations",),
            is_first_opening_of_command=is_first_opening_of_command,
        ) as connection,
        job_run(connection, "publish") as run_record,
    ):
        publish(connection, settings, run_record, allow_shrink=allow_shrink)
        say(stage_line("publish", f"{run_record.rows_out:,} rows, verified", monotonic() - started_at))
        targets = {**targets_by_setting(settings.publish), **extra_targets}
        run_record.detail["targets"] = copy_to_targets(settings.published.resolve(), targets)
    return run_record.as_dictionary()


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
        # a missing lock file is not made yet, so that a demo that is refused leaves no file behind
        if lock_file_path(settings.warehouse).exists():
            turn.enter_context(warehouse_lock(settings.warehouse))
        remove_earlier_demo(settings.warehouse, settings.published)
        turn.enter_context(warehouse_lock(settings.warehouse))
        with open_warehouse(settings, create_if_missing=True) as connection, job_run(connection, "demo"):
            make_demo_shop(connection, visitor_count=visitors, item_count=items, seed=seed, history_end=end)
        summary = _build_and_publish(settings, verbose=verbose)
        page = default_report_path(settings)
        has_report = are_report_packages_installed() and write_report_after_publication(
            _with_longer_wait(settings), page
        )
    if as_json:
        print_outcome(summary, "", as_json)
    else:
        print_leaderboard_and_example_lists(settings.published, settings.warehouse)
        print_result(f"report to open in a browser: {page}" if has_report else "report: pip install 'nextmart[report]'")
