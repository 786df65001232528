"""Time the counting of pairs of items bought together: for all orders, and for a night with 1 % new order lines.

The orders are synthetic: their numbers of lines fall off exponentially, one order in 10,000 is a wholesaler's with
thousands of lines, and popular items are in many orders. In the night, one older order in a thousand gets a late line
too. The timed dbt models are baskets, basket_items, pair_counts and bought_together. The printed seconds are CPU time,
without the start of dbt, which a run on empty tables measures. The last column has the wall-clock seconds of each
model. The largest memory of a process is printed too. Run: ``python -m benchmarks.together``.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.nights import PROFILE
from jobs.files import project_folder
from jobs.warehouse.connection import connect, literal, prepare_warehouse

MODELS = ("baskets", "basket_items", "pair_counts", "bought_together")

# Makes the lines of the orders whose numbers are at least $first and below $until.
LINES = """
    create or replace temp table lines as
    select
        md5('session ' || order_number) as session_id,
        'v' || (order_number // 10) as visitor_id,
        'i' || lpad(
            floor($items * pow((hash(order_number, line) % 1000003) / 1000003, 3))::bigint::varchar, 7, '0'
        ) as item_id,
        timestamptz '2024-01-01 00:00:00+00' + to_seconds(order_number * 10 + line / 1000) as event_at,
        order_number || ' ' || line as event_id
    from (
        select order_number, unnest(range(size)) as line
        from (
            select
                order_number,
                case when order_number % 10000 = 0 then 3000
                    else 1 + floor(-ln(1 - (hash(order_number, 'size') % 1000003) / 1000003) * 9)::bigint end as size
            from range($first::bigint, $until::bigint) as numbers (order_number)
        )
    )
"""

ADD_LINES = """
    insert into sessions.session_items by name
    select session_id, visitor_id, item_id, event_at, 'purchase' as event_type, event_id, $batch as assigned_batch_id
    from lines
"""

ADD_TOTALS = """
    insert into sessions.session_totals by name
    select
        session_id, any_value(visitor_id) as visitor_id, max(event_at) as ended_at, count(*) as event_count,
        $batch as assigned_batch_id
    from sessions.session_items
    where assigned_batch_id = $batch
    group by session_id
"""

# Adds one late line to about one in a thousand of the orders that are there already.
JOIN_LATE_LINES = """
    create temp table late_orders as
    select session_id from sessions.session_totals where hash(session_id) % 1000 = 0;
    update sessions.session_items set assigned_batch_id = 2 where session_id in (from late_orders);
    insert into sessions.session_items by name
    select session_id, 'v' as visitor_id, 'i0000001' as item_id, timestamptz '2025-01-01 00:00:00+00' as event_at,
        'purchase' as event_type, 'late' as event_id, 2 as assigned_batch_id
    from late_orders;
    delete from sessions.session_totals where session_id in (from late_orders);
"""

ITEMS = """
    insert into raw.items by name
    select 'i' || lpad(item::varchar, 7, '0') as item_id, 'thing ' || item as title,
        timestamptz '2024-01-01 00:00:00+00' as loaded_at
    from range($items) as numbers (item)
"""


@dataclass(frozen=True)
class DbtRunTimes:
    """Times of a dbt run: CPU seconds of the whole process, and wall-clock seconds of each model."""

    cpu_seconds: float
    seconds_by_model: dict[str, float]


def run_dbt_and_time_models(folder: Path, *arguments: str, model_names: tuple[str, ...] = MODELS) -> DbtRunTimes:
    """Run some dbt models in a new process, and return its times."""
    command = [
        sys.executable, "-c", "import sys; from dbt.cli.main import cli; sys.exit(cli())", "--quiet", "run",
        "--project-dir", str(project_folder("dbt_project")), "--profiles-dir", str(folder),
        "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
        "--select", *model_names, *arguments,
    ]  # fmt: skip
    before = cpu_seconds_of_children()
    subprocess.run(command, check=True, env={**os.environ, "DO_NOT_TRACK": "1"}, stdout=sys.stderr)
    cpu_seconds = cpu_seconds_of_children() - before
    results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    return DbtRunTimes(
        cpu_seconds, {result["unique_id"].split(".")[-1]: result["execution_time"] for result in results}
    )


def cpu_seconds_of_children() -> float:
    """Return the CPU seconds of all child processes of this process that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def insert_orders(
    connection: duckdb.DuckDBPyConnection, batch_id: int, first_order: int, end_order: int, item_count: int
) -> int:
    """Insert a batch of orders as a build would; return the number of their lines.

    The numbers of the orders go from ``first_order`` up to, but without, ``end_order``.
    """
    connection.execute(LINES, {"first": first_order, "until": end_order, "items": item_count})
    connection.execute(ADD_LINES, {"batch": batch_id})
    if batch_id > 1:
        for statement in connection.extract_statements(JOIN_LATE_LINES):
            connection.execute(statement)
    connection.execute(ADD_TOTALS, {"batch": batch_id})
    [lines] = connection.execute("select count(*) from lines").fetchone() or [0]
    return int(lines)


def bought_together_checksum(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Return the number of rows of bought_together and the sum of their hashes, to tell whether the table changes."""
    found = connection.execute("select count(*), sum(hash(pairs)) from recommendations.bought_together as pairs")
    rows, hashes = found.fetchone() or (0, 0)
    return rows, hashes


def main() -> None:
    """Run the benchmark; print the times of a full count and of two nights, with and without new order lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--memory", default="2GB")
    options = parser.parse_args()
    orders = options.lines // 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warehouse_path = folder / "warehouse.duckdb"
        (folder / "profiles.yml").write_text(PROFILE.format(path=warehouse_path, memory=options.memory))

        def run_in_warehouse(function, *arguments):
            with connect(warehouse_path) as connection:
                connection.execute(f"set memory_limit = {literal(options.memory)}")
                return function(connection, *arguments)

        def insert_items(connection):
            prepare_warehouse(connection)
            connection.execute(ITEMS, {"items": options.items})

        run_in_warehouse(insert_items)
        run_dbt_and_time_models(folder, model_names=("staging", "intermediate", "sessions", "items"))
        start = run_dbt_and_time_models(folder).cpu_seconds
        lines = run_in_warehouse(insert_orders, 1, 0, orders, options.items)
        print("what, CPU seconds, ratio to the full count, with dbt's start, seconds by model")
        full = print_run_times(
            f"{lines:,} order lines, full count", run_dbt_and_time_models(folder, "--full-refresh"), start
        )
        new = run_in_warehouse(insert_orders, 2, orders, orders + orders // 100, options.items)
        print_run_times(f"night with {new:,} new lines", run_dbt_and_time_models(folder), start, full)
        print_run_times("night without new lines", run_dbt_and_time_models(folder), start, full)
        counted = run_in_warehouse(bought_together_checksum)
        assert counted[0] > 0, "no item has a list"
        run_dbt_and_time_models(folder, "--full-refresh")
        assert run_in_warehouse(bought_together_checksum) == counted, "a full count gives other lists"
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    print(f"memory limit of DuckDB {options.memory}, largest memory of the process {largest:.1f} GB")


def print_run_times(
    label: str, run_times: DbtRunTimes, dbt_startup_seconds: float, full_count_times: DbtRunTimes | None = None
) -> DbtRunTimes:
    """Print the times of a dbt run as one line, and return them.

    Parameters
    ----------
    dbt_startup_seconds : float
        CPU seconds of the start of dbt.
    full_count_times : DbtRunTimes, optional
        The run with which this one is compared; by default itself.
    """
    compared = full_count_times or run_times
    ratios = [(run_times.cpu_seconds - less) / (compared.cpu_seconds - less) for less in (dbt_startup_seconds, 0)]
    models = ", ".join(f"{model} {run_times.seconds_by_model[model]:.2f}" for model in MODELS)
    seconds = run_times.cpu_seconds - dbt_startup_seconds
    print(f"{label}, {seconds:.2f}, {ratios[0]:.3f}, {run_times.cpu_seconds:.2f} {ratios[1]:.3f}, {models}", flush=True)
    return run_times


if __name__ == "__main__":
    main()
