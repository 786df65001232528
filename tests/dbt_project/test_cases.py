"""Every folder of ``cases`` is a warehouse's life in a few builds, told in CSV files.

Step n adds ``events_<n>.csv`` and ``items_<n>.csv``, which arrive on day n of June 2026 unless a row says otherwise,
and builds. ``<table>_<n>.csv`` is what a table holds after that step, ``<table>.csv`` after the last; only the columns
that the file names are compared. What holds for every case is tested for every case: a build with nothing new changes
nothing, a full refresh gives the same tables, and a session is named by its visitor and first event.
"""

from pathlib import Path

import pytest
from harness import Warehouse, read_csv

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())
TABLES = {
    "stg_events": "staging.stg_events",
    "rejected_events": "staging.rejected_events",
    "session_items": "sessions.session_items",
    "sessions": "sessions.sessions",
    "sequences": "sessions.sequences",
    "user_mapping": "sessions.user_mapping",
    "bot_visitors": "sessions.bot_visitors",
}
# hashes say nothing to a reader: a session is shown by its first event
READABLE = {
    "session_items": (
        "sessions.session_items inner join "
        "(select session_id, first_event_id from sessions.session_totals) using (session_id)"
    )
}
EVERYTHING = ["staging.stg_items", "staging.checked_events", *TABLES.values()]
# what tells builds apart: a full refresh starts counting again
WITHOUT_BUILD_NUMBERS = {
    "staging.checked_events": "exclude (batch_id, built_at)",
    "staging.stg_events": "exclude (batch_id)",
    "staging.rejected_events": "exclude (batch_id)",
    "sessions.session_items": "exclude (batch_id, assigned_batch_id)",
    "sessions.sessions": "exclude (assigned_batch_id)",
    "sessions.user_mapping": "exclude (batch_id)",
}


def steps_of(case: Path) -> int:
    return max(int(path.stem.rpartition("_")[2]) for path in case.glob("*_[0-9].csv"))


def check(warehouse: Warehouse, case: Path, suffix: str) -> None:
    files = {READABLE.get(name, table): case / f"{name}{suffix}.csv" for name, table in TABLES.items()}
    cases = {table: read_csv(file) for table, file in files.items() if file.exists()}
    found = warehouse.tables({table: columns for table, (columns, _) in cases.items()})
    for table, (_, rows) in cases.items():
        expected = [tuple(row.values()) for row in rows]
        assert sorted(found[table], key=str) == sorted(expected, key=str), files[table].name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case, warehouse):
    for step in range(1, steps_of(case) + 1):
        for table in ("items", "events"):
            file = case / f"{table}_{step}.csv"
            if file.exists():
                warehouse.add(table, read_csv(file)[1], loaded_at=f"2026-06-{step:02} 00:00:00+00")
        warehouse.run()
        check(warehouse, case, f"_{step}")
    check(warehouse, case, "")

    everything = {table: ["*"] for table in EVERYTHING}
    before = warehouse.tables(everything)
    warehouse.run(command="build")
    assert warehouse.tables(everything) == before, "a build with nothing new changed a table"

    without_build_numbers = {table: [f"* {WITHOUT_BUILD_NUMBERS.get(table, '')}"] for table in EVERYTHING}
    incremental = warehouse.tables(without_build_numbers)
    warehouse.run("--full-refresh")
    assert warehouse.tables(without_build_numbers) == incremental, "a full refresh gives other tables"

    named = warehouse.rows("sessions.sessions", ["session_id = md5(visitor_id || ':' || first_event_id) as named"])
    assert set(named) <= {("true",)}


def test_every_case_has_files_that_are_read():
    known = {"about.md", *(f"{name}.csv" for name in TABLES)}
    numbered = {*TABLES, "events", "items"}
    for case in CASES:
        assert (case / "about.md").exists(), case.name
        strange = [p.name for p in case.iterdir() if p.name not in known and p.stem.rpartition("_")[0] not in numbered]
        assert strange == [], case.name
