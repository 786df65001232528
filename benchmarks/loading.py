"""Time `nextmart load` of a large feed of events, compared with DuckDB's own ``insert into … select`` of the same file.

The baseline is what a data engineer would write by hand: the file's columns, with the time cast to text, go into an
equal table in a fresh warehouse; repeated rows are not looked for. The load does more: it finds repeated rows, and
reports what the rows hold. Both run in processes of their own with the same limit of memory, in turns. The printed
ratio is the baseline's time divided by the time measured. One more day is loaded on top, and then the same file again.
Run: ``python -m benchmarks.loading --rows 100000000 --repeats 1``.
"""

import argparse
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import duckdb

from benchmarks.timing import best_of, report
from jobs.commands.load import load
from jobs.dbt_vars import default_vars
from jobs.loading.sources import LoadRules, SourceFiles
from jobs.warehouse.clock import now
from jobs.warehouse.connection import connect, count_rows, literal, prepare_warehouse
from jobs.warehouse.job_runs import JobRun

FEED = """
    copy (
        select
            'e' || lpad(event::varchar, 10, '0') as event_id,
            'v' || (hash(event // 8, 'visitor') % $visitors) as visitor_id,
            case when event % 10 = 0 then 'u' || (hash(event // 8, 'visitor') % $visitors) end as user_id,
            'i' || (hash(event, 'item') % 50000) as item_id,
            case when hash(event, 'type') % 20 = 0 then 'purchase' else 'view' end as event_type,
            -- one year, in the order of time
            make_timestamp((1735689600 + (event % $rows) * 31536000 // $rows) * 1000000 + event % 1000000) as event_at
        from range($first, $first + $rows) as numbers (event)
    ) to {path}
"""

INSERT = """
    insert into raw.events by name
    select
        event_id, visitor_id, user_id, item_id, event_type, event_at::varchar as event_at, $loaded_at as loaded_at
    from {path}
"""


def opened(folder: Path, memory: str) -> duckdb.DuckDBPyConnection:
    """Return a connection to the warehouse in a folder, which is made anew if it is missing, with a limit of memory."""
    connection = connect(folder / "warehouse.duckdb")
    connection.execute(f"set memory_limit = {literal(memory)}; set enable_progress_bar = false")
    prepare_warehouse(connection)
    return connection


def emptied(folder: Path) -> Path:
    """Return a folder from which the warehouse has been removed."""
    folder.mkdir(exist_ok=True)
    for file in folder.glob("warehouse.duckdb*"):
        file.unlink()
    return folder


@dataclass(frozen=True)
class Usage:
    """What a process has used: its processors' time in seconds, and the peak of its memory in GB."""

    processor_seconds: float
    peak_gigabytes: float

    def __str__(self) -> str:
        """Return both as a line of a report."""
        return f"  {self.processor_seconds:.1f} seconds of processors, peak memory {self.peak_gigabytes:.2f} GB"


def insert(feed: Path, folder: Path, memory: str) -> Usage:
    """Insert a feed by hand into an empty warehouse, and return what the process has used."""
    with opened(emptied(folder), memory) as connection:
        connection.execute(INSERT.format(path=literal(str(feed))), {"loaded_at": now()})
    return used()


def load_feed(feed: Path, folder: Path, memory: str) -> Usage:
    """Load a feed into the warehouse in a folder, and return what the process has used."""
    with opened(folder, memory) as connection:
        record = JobRun(run_id="benchmark", job="load", started_at=now())
        load(connection, [SourceFiles("events", str(feed))], record, LoadRules(default_vars()))
    return used()


def load_anew(feed: Path, folder: Path, memory: str) -> Usage:
    """Load a feed into an empty warehouse, and return what the process has used."""
    return load_feed(feed, emptied(folder), memory)


def used() -> Usage:
    """Return what this process has used so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9)


def in_new_process(function: partial[Usage]) -> Usage:
    """Return a function's result, computed in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function).result()


def main() -> None:
    """Run the benchmark and print the times, their ratios, and the memory used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--day", type=int, help="rows of one more day; default: a hundredth of the rows")
    parser.add_argument("--format", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--no-second-load", action="store_true", help="it compares every row with every known one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        feed, day = folder / f"feed.{options.format}", folder / f"day.{options.format}"
        day_rows = options.day or max(options.rows // 100, 1)
        for path, first, rows in ((feed, 0, options.rows), (day, options.rows, day_rows)):
            numbers = {"first": first, "rows": rows, "visitors": max(options.rows // 50, 1)}
            duckdb.sql(FEED.format(path=literal(str(path))), params=numbers)
        calls = {
            "insert … select": partial(in_new_process, partial(insert, feed, folder / "inserted", options.memory)),
            "load": partial(in_new_process, partial(load_anew, feed, folder / "loaded", options.memory)),
        }
        times = best_of(calls, options.repeats)
        (folder / "inserted" / "warehouse.duckdb").unlink()
        size = feed.stat().st_size / 1e9
        print(f"{options.rows:,} events, {options.format} of {size:.1f} GB, memory_limit {options.memory}")
        print("what, seconds, ratio of the insert's time to it")
        for what, (seconds, usage) in times.items():
            report(what, seconds, times["insert … select"][0] / seconds)
            print(usage)
        later = {f"load of {day_rows:,} more": day}
        if not options.no_second_load:
            later["load of the same again"] = feed
        for what, path in later.items():
            started = time.perf_counter()
            usage = in_new_process(partial(load_feed, path, folder / "loaded", options.memory))
            seconds = time.perf_counter() - started
            report(what, seconds, times["insert … select"][0] / seconds)
            print(usage)
        with opened(folder / "loaded", options.memory) as connection:
            assert count_rows(connection, "raw.events") == options.rows + day_rows


if __name__ == "__main__":
    main()
