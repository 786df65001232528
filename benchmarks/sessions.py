"""Time a full sessionization beside DuckDB's own sort of the same rows.

Nothing that assigns events to sessions can be cheaper than ordering them; the ratio printed is the time divided
by the sort's: 1 is as fast as sorting alone. Run: ``python -m benchmarks.sessions --events 5000000``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

from benchmarks.timing import best_of, report
from jobs.warehouse import project_folder

EVENTS = """
    create table staging.stg_events as
    select
        'e' || lpad(event::varchar, 10, '0') as event_id,
        'v' || (hash(event // 8, 'visitor') % $visitors) as visitor_id,
        'i' || (hash(event, 'item') % 10000) as item_id,
        'view' as event_type,
        -- visits on some of 500 days, of less than an hour each
        make_timestamptz(
            (1700000000 + (hash(event // 8) % 500)::bigint * 86400 + (hash(event, 'time') % 3000)::bigint) * 1000000
        ) as event_at,
        1 as batch_id
    from range($events) as numbers (event)
"""

SORT = """
    create or replace table sorted as
    select event_id, visitor_id, item_id, event_type, event_at
    from staging.stg_events order by visitor_id, event_at, event_id
"""


def compiled(folder: Path) -> str:
    """Return the full-refresh SQL of session_items, as dbt writes it for the warehouse in ``folder``."""
    project = str(project_folder("dbt_project"))
    command = [
        sys.executable, "-c", "import sys; from dbt.cli.main import cli; sys.exit(cli())", "--quiet", "compile",
        "--project-dir", project, "--profiles-dir", project, "--target-path", str(folder / "target"),
        "--log-path", str(folder / "logs"), "--select", "session_items", "--full-refresh",
    ]  # fmt: skip
    environment = {**os.environ, "NEXTMART_WAREHOUSE": str(folder / "warehouse.duckdb")}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return next((folder / "target" / "compiled").rglob("session_items.sql")).read_text()


def main() -> None:
    """Print the two timings and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--visitors", type=int, default=20_000)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sessionize = f"create or replace table sessionized as {compiled(folder)}"
        with duckdb.connect(
            str(folder / "warehouse.duckdb"), config={"threads": 2, "memory_limit": options.memory}
        ) as connection:
            connection.execute("create schema if not exists staging")
            connection.execute(EVENTS, {"events": options.events, "visitors": options.visitors})
            times = best_of(
                {name: (lambda sql=sql: connection.execute(sql)) for name, sql in
                 (("sort", SORT), ("sessionize", sessionize))},
                options.repeats,
            )  # fmt: skip
            found = connection.execute(
                "select count(*), count(distinct session_id), (select count(*) from sorted) from sessionized"
            ).fetchone()
    assert found is not None
    assert found[0] == found[2] == options.events
    print(
        f"{options.events:,} events, {options.visitors:,} visitors, {found[1]:,} sessions, {options.memory}, 2 threads"
    )
    print("what, seconds, ratio to the sort")
    for what, (seconds, _) in times.items():
        report(what, seconds, seconds / times["sort"][0])


if __name__ == "__main__":
    main()
