"""Chooses the rows of a relation that are read to report on it: all rows, or a sample if there are very many."""

EXACT_ROWS = 5_000_000
"""The most rows that are all read for a report; of more rows, only a sample is read."""
SAMPLE_ROWS = 500_000
"""The approximate number of rows in the sample."""


def is_sampled(row_count: int) -> bool:
    """Return whether only a sample is read of a relation with so many rows."""
    return row_count > EXACT_ROWS


def sampled_relation_sql(row_count: int, relation: str) -> str:
    """Return the SQL of a relation, or of a sample of it if it has more rows than are read for a report."""
    if not is_sampled(row_count):
        return relation
    return f"(select * from {relation} tablesample system({100 * SAMPLE_ROWS / row_count}%) repeatable (1))"
