"""Time `nextmart load` of a large feed of events, and DuckDB's own ``insert into … select`` of the same files.

The baseline is what a data engineer would write by hand: the files' columns, with the time cast to text, go into an
equal table in a new warehouse; repeated rows are not looked for. The load does more: it remembers the files with their
hashes, finds repeated rows, and reports what the rows hold. Both run in processes of their own with the same limit of
memory, in turns. The printed ratios are the baseline's time divided by the time measured: of the clock until the
warehouse is closed, where DuckDB may write it once more, and until the commit; and of the processors. One more day is
loaded on top, and then the same files again, as if they had never been loaded.
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

from benchmarks.timing import report
from jobs.commands.load import load
from jobs.dbt_vars import default_vars
from jobs.loading.feed_settings import read_feeds
from jobs.loading.sources import LoadRules
from jobs.warehouse.clock import now
from jobs.warehouse.connection import connect, count_rows, literal, prepare_warehouse
from jobs.warehouse.job_runs import JobRun

EVENTS = """
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

INSERT = """
    insert into raw.events by name
    select
        event_id, visitor_id, user_id, item_id, event_type, event_at::varchar as event_at, $loaded_at as loaded_at
    from {path}
"""


@dataclass(frozen=True)
class Usage:
    """What a process has used.

    Attributes
    ----------
    committed : float
        The seconds of the clock until the rows were committed.
    seconds, processor_seconds : float
        The time of the clock, and of the processors, until the warehouse was closed.
    memory, temporary_disk, disk : float
        The peaks of memory, of DuckDB's temporary files, and of all files in the warehouse's folder, in GB.
    """

    committed: float
    seconds: float
    processor_seconds: float
    memory: float
    temporary_disk: float
    disk: float

    def __str__(self) -> str:
        """Return what was used as a line of a report."""
        return (
            f"  committed after {self.committed:.1f} seconds; {self.processor_seconds:.1f} seconds of processors; "
            f"at most {self.memory:.2f} GB of memory, "
            f"{self.temporary_disk:.2f} GB of temporary files, {self.disk:.2f} GB of disk in all"
        )


@dataclass(frozen=True)
class Loader:
    """How files of events are loaded into the warehouse of a folder, in a process of its own.

    Attributes
    ----------
    folder : Path
    files : str
        A glob.
    memory : str
        DuckDB's limit of memory.
    """

    folder: Path
    files: str
    memory: str

    def opened(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to the warehouse, which is made if it is missing."""
        connection = connect(self.folder / "warehouse.duckdb")
        connection.execute(f"set memory_limit = {literal(self.memory)}; set enable_progress_bar = false")
        prepare_warehouse(connection)
        return connection

    def insert(self) -> Usage:
        """Insert the files by hand into a new warehouse."""
        self.forget_warehouse()
        with measured(self.folder) as usage, self.opened() as connection:
            connection.execute(INSERT.format(path=literal(self.files)), {"loaded_at": now()})
            usage.commit()
        return usage.result()

    def load(self) -> Usage:
        """Load what is new of the feed of the files, as `nextmart load` does."""
        feeds = read_feeds({"events": {"files": self.files}}, max_unreadable_share=0.01)
        with measured(self.folder) as usage, self.opened() as connection:
            load(connection, feeds, JobRun("benchmark", "load", now()), LoadRules(default_vars()))
            usage.commit()
        return usage.result()

    def load_anew(self) -> Usage:
        """Load the feed of the files into a new warehouse."""
        self.forget_warehouse()
        return self.load()

    def load_again(self) -> Usage:
        """Load the feed's files once more, as if they had never been loaded."""
        with self.opened() as connection:
            connection.execute("delete from raw.loaded_files")
        return self.load()

    def forget_warehouse(self) -> None:
        """Remove the warehouse."""
        self.folder.mkdir(exist_ok=True)
        for file in self.folder.glob("warehouse.duckdb*"):
            file.unlink()


class Meter:
    """Measures what a process uses from now on."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.temporary = self.disk = 0
        self.committed = 0.0
        self.started, self.before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)

    def commit(self) -> None:
        """Note that the rows are committed."""
        self.committed = time.perf_counter() - self.started

    def look(self) -> None:
        """Look at the files in the warehouse's folder."""
        sizes = {file: size_of(file) for file in self.folder.rglob("*")}
        self.temporary = max(self.temporary, sum(size for file, size in sizes.items() if file.suffix == ".tmp"))
        self.disk = max(self.disk, sum(sizes.values()))

    def result(self) -> Usage:
        """Return what was used until now."""
        after = resource.getrusage(resource.RUSAGE_SELF)
        return Usage(
            self.committed,
            time.perf_counter() - self.started,
            after.ru_utime + after.ru_stime - self.before.ru_utime - self.before.ru_stime,
            after.ru_maxrss * 1024 / 1e9,
            self.temporary / 1e9,
            self.disk / 1e9,
        )


@contextmanager
def measured(folder: Path) -> Iterator[Meter]:
    """Measure what a ``with`` block uses."""
    meter, is_done = Meter(folder), threading.Event()

    def watch() -> None:
        while not is_done.wait(0.2):
            meter.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield meter
    finally:
        is_done.set()
        watcher.join()


def size_of(file: Path) -> int:
    """Return the size of a file in bytes; 0 if it is gone, or a folder."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:
        return 0


def in_new_process(function: Callable[[], Usage]) -> Usage:
    """Return a function's result, computed in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function).result()


def make_events(folder: Path, format_: str, first: int, rows: int, options: argparse.Namespace) -> None:
    """Write files of events, one after the other, in bounded memory."""
    folder.mkdir()
    files = min(options.files, rows)
    with duckdb.connect() as connection:
        connection.execute(f"set memory_limit = {literal(options.memory)}; set enable_progress_bar = false")
        for number in range(files):
            numbers = {
                "first": first + rows * number // files,
                "last": first + rows * (number + 1) // files,
                "rows": options.rows,
                "visitors": max(options.rows // 50, 1),
                "every": options.one_in_repeated,
            }
            path = literal(str(folder / f"{first}_{number}.{format_}"))
            connection.execute(EVENTS.format(path=path), numbers)


def main() -> None:
    """Run the benchmark and print the times, their ratios, and what was used."""
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
        make_events(folder / "feed", options.format, 0, options.rows, options)
        size = sum(size_of(file) for file in (folder / "feed").iterdir()) / 1e9
        print(
            f"{options.rows:,} events, {options.format} of {size:.1f} GB in {options.files:,} files, made in "
            f"{time.perf_counter() - started:.0f} seconds; memory_limit {options.memory}",
            flush=True,
        )
        files = f"{folder}/feed/*.{options.format}"
        by_hand, loader = (Loader(folder / what, files, options.memory) for what in ("inserted", "loaded"))
        print("what, seconds, ratio of the insert's time to it; then both until the commit, and of processors' seconds")
        usages: dict[str, list[Usage]] = {"insert … select": [], "load": []}
        for _ in range(options.repeats):
            for what, call in (("insert … select", by_hand.insert), ("load", loader.load_anew)):
                usages[what].append(in_new_process(call))
        best = {what: min(each, key=lambda usage: usage.seconds) for what, each in usages.items()}
        inserted = best["insert … select"]

        def tell(what: str, usage: Usage) -> None:
            report(what, usage.seconds, inserted.seconds / usage.seconds)
            ratios = inserted.committed / usage.committed, inserted.processor_seconds / usage.processor_seconds
            print(f"{usage}; ratios {ratios[0]:.2f}, {ratios[1]:.2f}", flush=True)

        for what, usage in best.items():
            tell(what, usage)
        by_hand.forget_warehouse()
        make_events(folder / "day", options.format, options.rows, day_rows, options)
        day = Loader(folder / "loaded", f"{folder}/day/*.{options.format}", options.memory)
        tell(f"load of {day_rows:,} more", in_new_process(day.load))
        if not options.no_second_load:
            tell("load of the same again", in_new_process(loader.load_again))
        with loader.opened() as connection:
            assert count_rows(connection, "raw.events") == options.rows + day_rows


if __name__ == "__main__":
    main()
