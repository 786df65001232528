"""Records that values of the user's files are read in more ways than before; no table changes.

The values are prices, times, words for availability, and words that mean null, such as NA.
"""

import duckdb

FULL_REFRESH = "events that were built before keep the former reading of times and of users such as NA"


def upgrade(connection: duckdb.DuckDBPyConnection) -> None:
    """Change nothing: this migration exists for its ``FULL_REFRESH``, which says what older rows keep."""
