"""Checks of the published file, and of what programs saw that read it during a night."""

import hashlib
from pathlib import Path

import duckdb

from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.placements import check_placements
from tests.end_to_end.invariants import broken_invariants
from tests.polling_reader import ReaderLog

SELECT_WHETHER_WHOLE = """
    select
        (select publish_run_id from recommendations.publication),
        (select count(distinct visitor_id) from recommendations.visitor_recommendations)
        = (select count(*) from recommendations.visitor_recommendations_wide)
        and (select count(*) > 0 from recommendations.visitor_recommendations)
        and (select min(model_version) = max(model_version) from recommendations.visitor_recommendations)
        and (select max(model_version) from recommendations.visitor_recommendations)
        = (select model_version from recommendations.publication)
"""
"""The publication's id, and whether all tables of the file are from this publication."""

BROKEN_RULES_OF_FILE = {
    "ranks are dense": """
        select visitor_id from recommendations.visitor_recommendations group by visitor_id
        having list(rank order by rank) <> range(1, count(*) + 1)
    """,
    "an item comes once": """
        select visitor_id, item_id from recommendations.visitor_recommendations group by all having count(*) > 1
    """,
    "scores are finite": "from recommendations.visitor_recommendations where score is null or not isfinite(score)",
}
"""Rules of a published file that need no warehouse."""


ORDER_WITHIN_SOURCES = ("a better rank never has a lower score, and equal scores are in the order of item_id",)


def file_hash(path: Path) -> str | None:
    """Return the hash of a file's bytes; None if there is no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def check_published_file(published_file: Path) -> str:
    """Check a published file without looking at the warehouse; return the publication's id.

    Raises
    ------
    BrokenRule
        If the tables of the file are not of one publication, or break one of ``BROKEN_RULES_OF_FILE``.
    """
    with duckdb.connect(str(published_file), read_only=True) as connection:
        publication, is_whole = connection.execute(SELECT_WHETHER_WHOLE).fetchall()[0]
        if not is_whole:
            raise BrokenRule("the published tables belong together", publication)
        for name, query in BROKEN_RULES_OF_FILE.items():
            if broken := connection.execute(query).fetchmany(3):
                raise BrokenRule(f"published: {name}", broken)
    return str(publication)


def check_publication_with_warehouse(connection: duckdb.DuckDBPyConnection, k: int) -> None:
    """Compare a new publication with the warehouse, to which the file is attached as the database ``published``.

    Raises
    ------
    BrokenRule
        If a rule for what is published is broken.
    """
    broken = broken_invariants(lambda query, **by_name: connection.execute(query, by_name).fetchall(), k)
    live = connection.execute("select model from ml.models where status = 'live'").fetchall()
    for name, rows in broken.items():
        # if the live model is popularity, the column `source` can't tell its items from those that fill up a list
        if live != [("popularity",)] or name not in ORDER_WITHIN_SOURCES:
            raise BrokenRule(f"published: {name}", rows[:3])
    check_placements(connection)


def check_reads(reader_log: ReaderLog) -> None:
    """Check what a program saw that read the published file again and again while a night's commands ran."""
    if reader_log.errors:
        raise BrokenRule("no reader sees an error", "\n".join(reader_log.errors[:3]))
    if halves := [row for row in reader_log.rows if row[1] != "True"]:
        raise BrokenRule("no reader sees half a publication", halves)
    publications = [row[0] for row in reader_log.rows]
    if len(publications) > len(set(publications)):
        raise BrokenRule("no reader sees an older publication again", publications)
