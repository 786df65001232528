"""The commands that run one job: embed, train, evaluate, recommend, place, pin, unpin, rollback and experiment."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer

from jobs.cli.app import app
from jobs.cli.options import Json, WaitSeconds, Warehouse
from jobs.cli.output import print_outcome
from jobs.cli.warehouse_opening import open_warehouse
from jobs.commands.terminal import embed_summary_line, print_embedding_plans
from jobs.embedding.backfill import EmbedOptions
from jobs.embedding.plan import plan_embedding, plans_as_dictionary
from jobs.errors import NextmartError
from jobs.orchestration.run_job import run_job
from jobs.settings import load_settings
from jobs.warehouse.job_runs import job_run


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
    """Make an embedding for each item text that has none yet."""
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds).with_embedding_model(model, provider)
    with open_warehouse(settings) as connection, _explain_missing_tables("embed"):
        if dry_run:
            embedding_plans = plan_embedding(connection, settings, retry_failed)
            if as_json:
                print_outcome(plans_as_dictionary(embedding_plans), "", as_json)
            else:
                print_embedding_plans(embedding_plans)
            return
        done = run_job("embed", connection, settings, options=EmbedOptions(max_cost, retry_failed))
    print_outcome(done, embed_summary_line(done), as_json)
    if done["status"] == "incomplete":
        sys.exit(1)


_add_job_command("train", "Train the models that are no longer fresh.")
_add_job_command("evaluate", "Measure new models on the hold-out and choose the live one.")
_add_job_command("recommend", "Write a run of recommendations with the live model.")
_add_job_command("place", "Fill the lists of placements under their rules.")


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
    """Compare models, seeds and settings by one evaluation protocol; finished runs are not repeated."""
    from jobs.experiments.command import run_experiment  # imported here, because other commands need not load torch
    from jobs.experiments.spec import read_experiment

    spec = read_experiment(file)
    settings = load_settings(warehouse=warehouse, wait_seconds=wait_seconds)
    folder = output or settings.work_folder / "experiments"
    with (
        open_warehouse(settings) as connection,
        _explain_missing_tables("experiment"),
        job_run(connection, "experiment") as run_record,
    ):
        text = run_experiment(connection, settings, run_record, spec, folder, max_cost)
    print_outcome(run_record.as_dictionary(), text, as_json)
    if run_record.status == "incomplete":
        sys.exit(1)


def _change_live_model(
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
    """Make one model live until `nextmart unpin`; training goes on, but does not change the live model."""
    _change_live_model("pin", warehouse, wait_seconds, as_json, model_version=model_version)


@app.command("unpin")
def unpin_command(warehouse: Warehouse = None, wait_seconds: WaitSeconds = None, as_json: Json = False) -> None:
    """Let the next night choose the live model again."""
    _change_live_model("unpin", warehouse, wait_seconds, as_json)


@app.command("rollback")
def rollback_command(warehouse: Warehouse = None, wait_seconds: WaitSeconds = None, as_json: Json = False) -> None:
    """Make the previous live model live again, and pin it."""
    _change_live_model("rollback", warehouse, wait_seconds, as_json)
