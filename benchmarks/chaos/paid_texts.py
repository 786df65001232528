"""What was paid for texts: no text is paid twice, unless a kill or a full disk lost the answer."""

from collections import Counter

import duckdb

from benchmarks.chaos.broken_rule import BrokenRule
from jobs.embedding.dispatch import PROBE_TEXT


class PaidTextAccounts:
    """Follows what the fake service sold.

    Attributes
    ----------
    lost_texts : Counter of text
        How often a text was sold whose vector never reached the warehouse.
    """

    def __init__(self) -> None:
        self.lost_texts: Counter[str] = Counter()
        self.hash_by_text: dict[str, str] = {}

    def check(
        self, warehouse: duckdb.DuckDBPyConnection, sold: Counter[str], max_lost: int, sold_since_copy: Counter[str]
    ) -> None:
        """Compare the texts whose vectors were sold with the vectors that the warehouse holds.

        Parameters
        ----------
        sold : Counter of text
            How often the service has sold a right vector of each text, since the campaign began.
        max_lost : int
            The most texts whose vectors the night may have lost, because they were in flight when a process was killed.
        sold_since_copy : Counter of text
            How often each text was sold after the restored copy was taken, because the copy lacks these vectors; empty
            where the night restored no copy.

        Raises
        ------
        BrokenRule
            If more vectors were lost, or a text was sold although the warehouse had its vector.
        """
        tables = "select count(*) from duckdb_tables() where schema_name || '.' || table_name = 'catalog.item_texts'"
        if warehouse.execute(tables).fetchall()[0][0]:
            self.hash_by_text |= dict(warehouse.execute("select text, text_hash from catalog.item_texts").fetchall())
        hashes_with_vectors = {
            name
            for (name,) in warehouse.execute(
                "select text_hash from ml.embeddings where embedding is not null"
            ).fetchall()
        }
        newly_lost = 0
        sold = sold - Counter({PROBE_TEXT: sold[PROBE_TEXT]})  # a probe of the service is no text of the catalogue
        for text, count in sold.items():
            has_vector = self.hash_by_text.get(text) in hashes_with_vectors
            excess = count - has_vector - self.lost_texts[text]
            if excess > 0:
                self.lost_texts[text] += excess
                newly_lost += max(0, excess - sold_since_copy[text])
        if newly_lost > max_lost:
            texts = {
                text: count
                for text, count in sold.items()
                if count > 1 or self.hash_by_text.get(text) not in hashes_with_vectors
            }
            raise BrokenRule(
                "no text is paid twice", f"{newly_lost} paid texts lost or paid again, {max_lost} allowed: {texts}"
            )
