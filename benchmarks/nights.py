"""Time a nightly dbt run, compared with a full refresh, from raw events to sessions, for histories of several sizes.

For each number of events in the history, dbt runs three times: a full refresh, a night with 1 % new events, and a night
with ``--night`` new events. The printed ratio is a run's time divided by that of the full refresh. The times are those
that dbt reports for the models, summed. So they exclude the start of dbt, which takes some seconds at any size. Run:
``python -m benchmarks.nights --events 1000000 10000000``; 100 million events need half an hour and 40 GB of disk.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from jobs.files import project_folder
from jobs.warehouse.connection import connect, prepare_warehouse

# Each visit has 8 events in less than an hour. The visits of the history are spread over 500 days, and their events are
# loaded on the next day; those of each hundredth visit come two days later. The events of the nights follow at the same
# pace.
EVENTS = """
    insert into raw.events by name
    select
        'e' || lpad(event::varchar, 10, '0') as event_id,
        'v' || (hash(visit, 'visitor') % ($history // 100)) as visitor_id,
        case when event % 10 = 0 then 'u' || (hash(visit, 'visitor') % ($history // 100)) end as user_id,
        'i' || (hash(event, 'item') % 10000) as item_id,
        'view' as event_type,
        (began_at - to_days(if(visit % 100 = 0, 2, 0)) + to_seconds((hash(event) % 3000)::integer))::varchar
            as event_at,
        timezone('UTC', date_trunc('day', began_at) + to_days(1)) as loaded_at
    from (
        select
            event, event // 8 as visit,
            timestamp '2024-01-01' + to_minutes(event // 8 * 720000 // ($history // 8)) as began_at
        from range($first::bigint, $until::bigint) as numbers (event)
    )
"""

ITEMS = """
    insert into raw.items by name
    select 'i' || item as item_id, 'thing ' || item as title, timestamptz '2024-01-01 00:00:00+00' as loaded_at
    from range(10000) as numbers (item)
"""

PROFILE = """
nextmart:
  target: warehouse
  outputs:
    warehouse:
      {{type: duckdb, path: "{path}", threads: 1, plugins: [module: jobs.orchestration.dbt_plugin],
        settings: {{memory_limit: {memory}, threads: 2}}}}
"""


def insert_events(
    warehouse_file: Path, memory_limit: str, history_event_count: int, first_event: int, end_event: int
) -> None:
    """Append made-up events to ``raw.events``: the numbers from ``first_event`` up to, but without, ``end_event``.

    The shop has ``history_event_count`` events in its first 500 days, which sets the pace.
    """
    with connect(warehouse_file) as connection:
        connection.execute(f"set memory_limit = '{memory_limit}'")
        connection.execute("set threads = 2")
        prepare_warehouse(connection)
        if first_event == 0:
            connection.execute(ITEMS)
        connection.execute(EVENTS, {"history": history_event_count, "first": first_event, "until": end_event})


def run_dbt_and_time_models(folder: Path, *arguments: str) -> dict[str, float]:
    """Run the dbt models up to ``sessions``; return the seconds of each model, the slowest first."""
    command = [
        sys.executable, "-c", "import sys; from dbt.cli.main import cli; sys.exit(cli())", "--quiet", "run",
        "--project-dir", str(project_folder("dbt_project")), "--profiles-dir", str(folder),
        "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
        "--select", "staging", "intermediate", "sessions", *arguments,
    ]  # fmt: skip
    subprocess.run(command, check=True, env={**os.environ, "DO_NOT_TRACK": "1"}, stdout=sys.stderr)
    results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    seconds = {result["unique_id"].split(".")[-1]: result["execution_time"] for result in results}
    return dict(sorted(seconds.items(), key=lambda pair: -pair[1]))


def main() -> None:
    """Run the benchmark; print the events, seconds, ratio and slowest models of each dbt run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--night", type=int, default=10_000)
    parser.add_argument("--memory", default="4GB")
    options = parser.parse_args()
    print("what, seconds, ratio to the full refresh, slowest models")
    for history_event_count in options.events:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            warehouse_file = folder / "warehouse.duckdb"
            (folder / "profiles.yml").write_text(PROFILE.format(path=warehouse_file, memory=options.memory))
            full, known = None, 0
            for new in (history_event_count, history_event_count // 100, options.night):
                insert_events(warehouse_file, options.memory, history_event_count, known, known + new)
                known += new
                models = run_dbt_and_time_models(folder)
                seconds = sum(models.values())
                full = full or seconds
                slowest = ", ".join(f"{model} {models[model]:.1f}" for model in list(models)[:4])
                what = f"{history_event_count:,} events, {'full refresh' if new == known else 'night'} of {new:,}"
                print(f"{what}, {seconds:.2f}, {seconds / full:.3f}, {slowest}", flush=True)


if __name__ == "__main__":
    main()
