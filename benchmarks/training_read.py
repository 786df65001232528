"""Measure the memory and time of reading training data: read the sequences, split them, make arrays of them.

The printed memory is the peak of the process, less its peak before the read. For comparison: an int32 array of the
items of all events takes 4 bytes an event. Run: ``python -m benchmarks.training_read --sequences 500000``.

With ``--training-sequences`` the read is limited by the setting of this name.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path

from jobs.nightly.training_data import read_training_data
from jobs.settings import Settings
from jobs.warehouse.connection import connect

ITEMS = 50_000
EVENTS_PER_SEQUENCE = 10

CREATE_HISTORY = """
    create schema sessions;
    create schema catalog;
    create table catalog.items as
        select
            'item-' || lpad(number::varchar, 6, '0') as item_id,
            true as available,
            null::varchar as title,
            null::varchar as category,
            null::double as price
        from range($items) as numbers (number);
    create table catalog.item_embeddings (item_id varchar, embedding float[]);
    create table sessions.sequences as
        with events as (
            select
                visitor,
                'item-' || lpad((hash(31 * visitor + place) % $items)::varchar, 6, '0') as item_id,
                timestamptz '2026-01-01 00:00:00+00' + to_seconds((hash(visitor) % 20_000_000 + 3600 * place)::bigint)
                    as event_at
            from range($sequences) as visitors (visitor), range($events_per_sequence) as places (place)
        )
        select
            'visitor-' || visitor as sequence_id,
            'visitor-' || visitor as visitor_id,
            list(item_id order by event_at) as items,
            list(event_at order by event_at) as event_times,
            max(event_at) as ended_at
        from events
        group by visitor;
"""


def create_warehouse(path: Path, sequence_count: int) -> None:
    """Create a warehouse with a catalogue without embeddings, and with pseudo-random sequences of items and times."""
    values = {"items": ITEMS, "sequences": sequence_count, "events_per_sequence": EVENTS_PER_SEQUENCE}
    with closing(connect(path)) as connection:
        for statement in CREATE_HISTORY.split(";")[:-1]:
            used = {name: value for name, value in values.items() if f"${name}" in statement}
            connection.execute(statement, used)


def peak_memory_bytes() -> int:
    """Return the largest memory, in bytes, that this process has used so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run the benchmark; print the memory, the memory per event, and the CPU seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=500_000)
    parser.add_argument("--training-sequences", type=int, help="the setting of this name; by default it is unset")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="training-read-") as folder:
        path = Path(folder) / "warehouse.duckdb"
        # a separate process creates the warehouse, so that its memory is not counted
        creation = multiprocessing.get_context("spawn").Process(target=create_warehouse, args=(path, options.sequences))
        creation.start()
        creation.join()
        with closing(connect(path, read_only=True)) as connection:
            before, started_at = peak_memory_bytes(), time.process_time()
            _, data = read_training_data(connection, Settings(training_sequences=options.training_sequences))
            seconds = time.process_time() - started_at
            grown = peak_memory_bytes() - before
    assert data, "the history is too short"
    events = options.sequences * EVENTS_PER_SEQUENCE
    print(f"{events:,} events, {len(data.all_sequences):,} of {data.available_sequences:,} training sequences")
    print(
        f"peak of {grown / 1e6:,.0f} MB above the start, {grown / events:.0f} bytes an event, {seconds:.1f} CPU seconds"
    )


if __name__ == "__main__":
    main()
