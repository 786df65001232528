"""Time the assignment of all events to sessions, compared with DuckDB's sort of the same rows and with Polars.

Events have to be sorted before they can be assigned to sessions. The printed ratio is the time divided by that of the
sort, so 1 means as fast as sorting alone. Polars assigns the same events by the same rule, from a Parquet file to
another, without a memory limit. Run: ``python -m benchmarks.sessions --events 100000000 --repeats 1 --no-polars``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl

from benchmarks.timing import print_timing, shortest_times
from jobs.files import project_folder
from jobs.warehouse.connection import literal

EVENTS = """
    create table staging.stg_events as
    select
        'e' || lpad(event::varchar, 10, '0') as event_id,
        'v' || (hash(event // 8, 'visitor') % $visitors) as visitor_id,
        case when event % 10 = 0 then 'u' || (hash(event // 8, 'visitor') % $visitors) end as user_id,
        'i' || (hash(event, 'item') % 10000) as item_id,
        'view' as event_type,
        -- visits on some of 500 days, of less than an hour each
        make_timestamptz(
            (1700000000 + (hash(event // 8) % 500)::bigint * 86400 + (hash(event, 'time') % 3000)::bigint) * 1000000
        ) as event_at,
        null::varchar as source_session_id,
        null::varchar as bot_reason,
        1::bigint as batch_id
    from range($events) as numbers (event)
"""

SORT = "create or replace table sorted as from staging.stg_events order by visitor_id, event_at"

VISIT = ["visitor_id", "source_session_id"]


def compile_session_items(folder: Path) -> str:
    """Return the SQL of a full refresh of the dbt model ``session_items``, compiled for the warehouse in ``folder``."""
    project = str(project_folder("dbt_project"))
    command = [
        sys.executable, "-c", "import sys; from dbt.cli.main import cli; sys.exit(cli())", "--quiet", "compile",
        "--project-dir", project, "--profiles-dir", project, "--target-path", str(folder / "target"),
        "--log-path", str(folder / "logs"), "--select", "session_items", "--full-refresh",
    ]  # fmt: skip
    environment = {**os.environ, "NEXTMART_WAREHOUSE": str(folder / "warehouse.duckdb")}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return next((folder / "target" / "compiled").rglob("session_items.sql")).read_text()


def sessionize_with_polars(events_file: Path, sessions_file: Path) -> None:
    """Assign the events to sessions with Polars' streaming engine, by the rule of ``session_items``."""
    started = (pl.col("event_at").diff().over(VISIT) > timedelta(minutes=30)).fill_null(True)
    visit = [*VISIT, "visit"]
    (
        pl.scan_parquet(events_file)
        .sort("visitor_id", "source_session_id", "event_at", "event_id")
        .with_columns(started.cast(pl.Int64).cum_sum().over(VISIT).alias("visit"))
        .with_columns(
            pl.concat_str("visitor_id", pl.lit(":"), pl.col("event_id").first().over(visit)).alias("session_id"),
            pl.col("event_at").first().over(visit).alias("visit_started_at"),
            pl.int_range(1, pl.len() + 1).over(visit).alias("position"),
        )
        .drop("visit")
        .sink_parquet(sessions_file, engine="streaming")
    )


def main() -> None:
    """Run the benchmark; print the seconds of nextmart, Polars and the sort, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--visitors", type=int, help="default: one for 100 events")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-polars", action="store_true", help="it needs about 300 bytes of memory an event")
    options = parser.parse_args()
    visitors = options.visitors or options.events // 100
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sessionize = f"create or replace table sessionized as {compile_session_items(folder)}"
        with duckdb.connect(
            str(folder / "warehouse.duckdb"), config={"threads": 2, "memory_limit": options.memory}
        ) as connection:
            connection.execute("create schema if not exists staging")
            connection.execute(EVENTS, {"events": options.events, "visitors": visitors})
            calls = {
                "sort": lambda: connection.execute(SORT),
                "nextmart": lambda: connection.execute(sessionize),
            }
            if not options.no_polars:
                events_file, sessions_file = folder / "events.parquet", folder / "sessions.parquet"
                connection.execute(f"copy staging.stg_events to {literal(str(events_file))}")
                calls["polars"] = lambda: sessionize_with_polars(events_file, sessions_file)
            times = shortest_times(calls, options.repeats)
            sessions = [_session_checksum(connection, "sessionized")]
            if not options.no_polars:
                sessions.append(_session_checksum(connection, f"read_parquet({literal(str(sessions_file))})"))
    assert sessions[0] == sessions[-1]
    assert sessions[0][0] == options.events
    print(f"{options.events:,} events, {visitors:,} visitors, {sessions[0][1]:,} sessions, {options.memory}, 2 threads")
    print("what, seconds, ratio to the sort")
    for what, (seconds, _) in times.items():
        print_timing(what, seconds, seconds / times["sort"][0])


def _session_checksum(connection: duckdb.DuckDBPyConnection, sessions_relation: str) -> tuple[int, ...]:
    found = connection.execute(
        f"select count(*), count(*) filter (where position = 1), sum(position), "
        f"sum(epoch_us(event_at) - epoch_us(visit_started_at)) from {sessions_relation}"
    ).fetchone()
    assert found is not None
    return found


if __name__ == "__main__":
    main()
