"""What was paid for texts: no text is paid twice, unless a kill or a full disk lost the answer."""

from collections import Counter

import duckdb

from benchmarks.chaos.difference import Difference
from jobs.embedding.dispatch import PROBE_TEXT


class Accounts:
    """Follows what the fake service sold.

    Attributes
    ----------
    lost : Counter of text
        How often a text was sold whose vector never reached the warehouse.
    """

    def __init__(self) -> None:
        self.lost: Counter[str] = Counter()
        self.hashes: dict[str, str] = {}

    def check(
        self, warehouse: duckdb.DuckDBPyConnection, sold: Counter[str], most_lost: int, sold_since_copy: Counter[str]
    ) -> None:
        """Compare the texts whose vectors were sold with the vectors that the warehouse holds.

        Parameters
        ----------
        sold : Counter of text
            How often the service has sold a right vector of each text, since the campaign began.
        most_lost : int
            The most texts whose vectors the night may have lost, because they were in flight when a process was killed.
        sold_since_copy : Counter of text
            How often each text was sold after the restored copy was taken, because the copy lacks these vectors; empty
            where the night restored no copy.

        Raises
        ------
        Difference
            If more vectors were lost, or a text was sold although the warehouse had its vector.
        """
        tables = "select count(*) from duckdb_tables() where schema_name || '.' || table_name = 'catalog.item_texts'"
        if warehouse.execute(tables).fetchall()[0][0]:
            self.hashes |= dict(warehouse.execute("select text, text_hash from catalog.item_texts").fetchall())
        kept = {
            name
            for (name,) in warehouse.execute(
                "select text_hash from ml.embeddings where embedding is not null"
            ).fetchall()
        }
        newly_lost = 0
        sold = sold - Counter({PROBE_TEXT: sold[PROBE_TEXT]})  # a probe of the service is no text of the catalogue
        for text, count in sold.items():
            has_vector = self.hashes.get(text) in kept
            excess = count - has_vector - self.lost[text]
            if excess > 0:
                self.lost[text] += excess
                newly_lost += max(0, excess - sold_since_copy[text])
        if newly_lost > most_lost:
            texts = {text: count for text, count in sold.items() if count > 1 or self.hashes.get(text) not in kept}
            raise Difference(
                "no text is paid twice", f"{newly_lost} paid texts lost or paid again, {most_lost} allowed: {texts}"
            )
