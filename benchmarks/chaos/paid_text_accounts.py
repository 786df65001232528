"""Checks that no text's embedding is paid for twice, unless a kill or a full disk lost the service's answer."""

from collections import Counter

import duckdb

from benchmarks.chaos.broken_rule import BrokenRule
from jobs.embedding.request_dispatcher import PROBE_TEXT


class PaidTextAccounts:
    """Compares the vectors that the fake embedding service has sold with those in the warehouse, night by night.

    Attributes
    ----------
    lost_texts : Counter of text
        How often each text was sold without its vector reaching the warehouse.
    hash_by_text : dict of str to str
        The hash of each text of the catalogue so far.
    """

    def __init__(self) -> None:
        self.lost_texts: Counter[str] = Counter()
        self.hash_by_text: dict[str, str] = {}

    def check(
        self,
        connection: duckdb.DuckDBPyConnection,
        sold_counts: Counter[str],
        max_lost_texts: int,
        sold_counts_since_copy: Counter[str],
    ) -> None:
        """Compare the sold texts with the vectors that the warehouse holds, and add newly lost ones to ``lost_texts``.

        Parameters
        ----------
        sold_counts : Counter of text
            How often the service has sold an undamaged vector of each text since the campaign began.
        max_lost_texts : int
            The most texts whose vectors the night may have lost: those of requests under way when a process was killed.
        sold_counts_since_copy : Counter of text
            If the night restored a backup copy, how often each text was sold after the copy was taken, since the copy
            lacks these vectors. Else empty.

        Raises
        ------
        BrokenRule
            If more vectors were lost than allowed, or texts were sold again whose vectors the warehouse already had.
        """
        tables = "select count(*) from duckdb_tables() where schema_name || '.' || table_name = 'catalog.item_texts'"
        if connection.execute(tables).fetchall()[0][0]:
            self.hash_by_text |= dict(connection.execute("select text, text_hash from catalog.item_texts").fetchall())
        hashes_with_vectors = {
            name
            for (name,) in connection.execute(
                "select text_hash from ml.embeddings where embedding is not null"
            ).fetchall()
        }
        newly_lost = 0
        sold_counts = sold_counts - Counter(
            {PROBE_TEXT: sold_counts[PROBE_TEXT]}
        )  # the embed job tries out the service with this text, which is not in the catalogue
        for text, count in sold_counts.items():
            has_vector = self.hash_by_text.get(text) in hashes_with_vectors
            excess = count - has_vector - self.lost_texts[text]
            if excess > 0:
                self.lost_texts[text] += excess
                newly_lost += max(0, excess - sold_counts_since_copy[text])
        if newly_lost > max_lost_texts:
            texts = {
                text: count
                for text, count in sold_counts.items()
                if count > 1 or self.hash_by_text.get(text) not in hashes_with_vectors
            }
            raise BrokenRule(
                "no text is paid twice",
                f"{newly_lost} paid texts lost or paid again, {max_lost_texts} allowed: {texts}",
            )
