"""Time `nextmart load` of a large feed of events, and DuckDB's own ``insert into … select`` of the same files.

The baseline is what a data engineer would write by hand: an ``insert`` of the files' columns, with the time cast to
text, into the same table of a new warehouse, without a search for repeated rows. The load does more: it records the
files with their hashes, finds repeated rows, and reports on the content of the rows. Both run in turns, each in a new
process, with the same memory limit. Three ratios of the baseline's time to the load's time are printed: wall-clock time
until the warehouse is closed, which may make DuckDB write it once more; wall-clock time until the commit; and CPU time.
After that, one more day is loaded, and then the first files once more, as if they had never been loaded.
Run: ``python -m benchmarks.loading --rows 100000000 --repeats 1``. ``TMPDIR`` says where files and warehouses go.
"""

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import duckdb

from benchmarks.timing import print_timing
from jobs.commands.load import load
from jobs.dbt_vars import default_vars
from jobs.loading.feed_settings import read_feeds
from jobs.loading.sources import LoadRules
from jobs.warehouse.clock import now
from jobs.warehouse.connection import connect, count_rows, literal, prepare_warehouse
from jobs.warehouse.job_runs import JobRun

COPY_EVENTS = """
    copy (
        select
            'e' || lpad(event::varchar, 10, '0') as event_id,
            'v' || (hash(event // 8, 'visitor') % $visitors) as visitor_id,
            case when event % 10 = 0 then 'u' || (hash(event // 8, 'visitor') % $visitors) end as user_id,
            'i' || (hash(event, 'item') % 50000) as item_id,
            case when hash(event, 'type') % 20 = 0 then 'purchase' else 'view' end as event_type,
            -- one year, in the order of time
            make_timestamp((1735689600 + (event % $rows) * 31536000 // $rows) * 1000000 + event % 1000000) as event_at
        from (
            select unnest([event, event - 1000][:1 + (event >= $first + 1000 and event % $every = 0)::int]) as event
            from range($first, $last) as numbers (event)
        )
    ) to {path}
"""

INSERT_EVENTS = """
    insert into raw.events by name
    select
        event_id, visitor_id, user_id, item_id, event_type, event_at::varchar as event_at, $loaded_at as loaded_at
    from {path}
"""


@dataclass(frozen=True)
class ResourceUsage:
    """The time, memory and disk space that a process has used.

    Attributes
    ----------
    seconds_to_commit : float
        Wall-clock time until the rows were committed.
    seconds_to_close, cpu_seconds : float
        Wall-clock time and CPU time until the warehouse was closed.
    peak_memory_gb, peak_temporary_disk_gb, peak_disk_gb : float
        The peaks of memory, of DuckDB's temporary files, and of all files in the warehouse's folder, in GB.
    """

    seconds_to_commit: float
    seconds_to_close: float
    cpu_seconds: float
    peak_memory_gb: float
    peak_temporary_disk_gb: float
    peak_disk_gb: float

    def __str__(self) -> str:
        """Return the numbers as a line of the report."""
        return (
            f"  committed after {self.seconds_to_commit:.1f} seconds; {self.cpu_seconds:.1f} seconds of processors; "
            f"at most {self.peak_memory_gb:.2f} GB of memory, "
            f"{self.peak_temporary_disk_gb:.2f} GB of temporary files, {self.peak_disk_gb:.2f} GB of disk in all"
        )


@dataclass(frozen=True)
class Loader:
    """Loads files of events into a warehouse, and measures what this uses.

    Attributes
    ----------
    warehouse_folder : Path
        The folder of the warehouse.
    file_glob : str
        A glob for the files of events.
    memory_limit : str
        DuckDB's memory limit, such as ``4GB``.
    """

    warehouse_folder: Path
    file_glob: str
    memory_limit: str

    def open_warehouse(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to the warehouse, and create the warehouse if it is missing."""
        connection = connect(self.warehouse_folder / "warehouse.duckdb")
        connection.execute(f"set memory_limit = {literal(self.memory_limit)}; set enable_progress_bar = false")
        prepare_warehouse(connection)
        return connection

    def insert_by_hand(self) -> ResourceUsage:
        """Insert the files into a new warehouse with a plain SQL statement: the baseline."""
        self.delete_warehouse()
        with measure_usage(self.warehouse_folder) as meter, self.open_warehouse() as connection:
            connection.execute(INSERT_EVENTS.format(path=literal(self.file_glob)), {"loaded_at": now()})
            meter.note_commit()
        return meter.usage()

    def load(self) -> ResourceUsage:
        """Load the files that are not loaded yet, as `nextmart load` does."""
        feeds = read_feeds({"events": {"files": self.file_glob}}, max_unreadable_share=0.01)
        with measure_usage(self.warehouse_folder) as meter, self.open_warehouse() as connection:
            load(connection, feeds, JobRun("benchmark", "load", now()), LoadRules(default_vars()))
            meter.note_commit()
        return meter.usage()

    def load_into_new_warehouse(self) -> ResourceUsage:
        """Delete the warehouse, and load the files into a new one."""
        self.delete_warehouse()
        return self.load()

    def load_same_files_again(self) -> ResourceUsage:
        """Load the files once more: the warehouse keeps their rows, but forgets that they were loaded."""
        with self.open_warehouse() as connection:
            connection.execute("delete from raw.loaded_files")
        return self.load()

    def delete_warehouse(self) -> None:
        """Delete the files of the warehouse; create its folder if it is missing."""
        self.warehouse_folder.mkdir(exist_ok=True)
        for file in self.warehouse_folder.glob("warehouse.duckdb*"):
            file.unlink()


class ResourceMeter:
    """Measures the time, memory and disk space that this process uses, from the meter's creation on."""

    def __init__(self, warehouse_folder: Path):
        self.warehouse_folder = warehouse_folder
        self.peak_temporary_disk_bytes = self.peak_disk_bytes = 0
        self.seconds_to_commit = 0.0
        self.started, self.usage_before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)

    def note_commit(self) -> None:
        """Keep the time from the meter's creation until now, when the rows are committed."""
        self.seconds_to_commit = time.perf_counter() - self.started

    def note_disk_use(self) -> None:
        """Update the peaks of disk use by the present sizes of the files in the warehouse's folder."""
        sizes = {file: file_size(file) for file in self.warehouse_folder.rglob("*")}
        self.peak_temporary_disk_bytes = max(
            self.peak_temporary_disk_bytes, sum(size for file, size in sizes.items() if file.suffix == ".tmp")
        )
        self.peak_disk_bytes = max(self.peak_disk_bytes, sum(sizes.values()))

    def usage(self) -> ResourceUsage:
        """Return what the process has used until now."""
        after = resource.getrusage(resource.RUSAGE_SELF)
        return ResourceUsage(
            self.seconds_to_commit,
            time.perf_counter() - self.started,
            after.ru_utime + after.ru_stime - self.usage_before.ru_utime - self.usage_before.ru_stime,
            after.ru_maxrss * 1024 / 1e9,
            self.peak_temporary_disk_bytes / 1e9,
            self.peak_disk_bytes / 1e9,
        )


@contextmanager
def measure_usage(warehouse_folder: Path) -> Iterator[ResourceMeter]:
    """Measure what a ``with`` block uses; a thread looks at the disk use every 0.2 seconds."""
    meter, is_done = ResourceMeter(warehouse_folder), threading.Event()

    def poll_disk_use() -> None:
        while not is_done.wait(0.2):
            meter.note_disk_use()

    watcher = threading.Thread(target=poll_disk_use)
    watcher.start()
    try:
        yield meter
    finally:
        is_done.set()
        watcher.join()


def file_size(file: Path) -> int:
    """Return the size of a file in bytes; 0 if the file is gone or is a folder."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:
        return 0


def run_in_new_process(function: Callable[[], ResourceUsage]) -> ResourceUsage:
    """Run a function in a new process and return its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function).result()


def write_event_files(
    folder: Path, file_format: str, first_event: int, event_count: int, command_line_options: argparse.Namespace
) -> None:
    """Write files of made-up events, as the benchmark's options say: how many files, visitors and repeated events."""
    folder.mkdir()
    files = min(command_line_options.files, event_count)
    with duckdb.connect() as connection:
        connection.execute(
            f"set memory_limit = {literal(command_line_options.memory)}; set enable_progress_bar = false"
        )
        for number in range(files):
            numbers = {
                "first": first_event + event_count * number // files,
                "last": first_event + event_count * (number + 1) // files,
                "rows": command_line_options.rows,
                "visitors": max(command_line_options.rows // 50, 1),
                "every": command_line_options.one_in_repeated,
            }
            path = literal(str(folder / f"{first_event}_{number}.{file_format}"))
            connection.execute(COPY_EVENTS.format(path=path), numbers)


def main() -> None:
    """Run the benchmark; print the times, their ratios, and the memory and disk space used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="different events")
    parser.add_argument("--day", type=int, help="rows of one more day; default: a hundredth of the rows")
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--one-in-repeated", type=int, default=1000, help="every so many events come twice")
    parser.add_argument("--format", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--no-second-load", action="store_true", help="of all files, each row of which is known then")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        day_rows = options.day or max(options.rows // 100, 1)
        started = time.perf_counter()
        write_event_files(folder / "feed", options.format, 0, options.rows, options)
        size = sum(file_size(file) for file in (folder / "feed").iterdir()) / 1e9
        print(
            f"{options.rows:,} events, {options.format} of {size:.1f} GB in {options.files:,} files, made in "
            f"{time.perf_counter() - started:.0f} seconds; memory_limit {options.memory}",
            flush=True,
        )
        files = f"{folder}/feed/*.{options.format}"
        by_hand, loader = (Loader(folder / label, files, options.memory) for label in ("inserted", "loaded"))
        print("what, seconds, ratio of the insert's time to it; then both until the commit, and of processors' seconds")
        usages: dict[str, list[ResourceUsage]] = {"insert … select": [], "load": []}
        for _ in range(options.repeats):
            for label, call in (("insert … select", by_hand.insert_by_hand), ("load", loader.load_into_new_warehouse)):
                usages[label].append(run_in_new_process(call))
        best = {label: min(each, key=lambda usage: usage.seconds_to_close) for label, each in usages.items()}
        inserted = best["insert … select"]

        def print_usage(label: str, usage: ResourceUsage) -> None:
            print_timing(label, usage.seconds_to_close, inserted.seconds_to_close / usage.seconds_to_close)
            ratios = inserted.seconds_to_commit / usage.seconds_to_commit, inserted.cpu_seconds / usage.cpu_seconds
            print(f"{usage}; ratios {ratios[0]:.2f}, {ratios[1]:.2f}", flush=True)

        for label, usage in best.items():
            print_usage(label, usage)
        by_hand.delete_warehouse()
        write_event_files(folder / "day", options.format, options.rows, day_rows, options)
        day = Loader(folder / "loaded", f"{folder}/day/*.{options.format}", options.memory)
        print_usage(f"load of {day_rows:,} more", run_in_new_process(day.load))
        if not options.no_second_load:
            print_usage("load of the same again", run_in_new_process(loader.load_same_files_again))
        with loader.open_warehouse() as connection:
            assert count_rows(connection, "raw.events") == options.rows + day_rows


if __name__ == "__main__":
    main()
