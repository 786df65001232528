"""What a process of ``test_money`` runs. Such a process imports this module, so it has no use for pytest."""

import os
from pathlib import Path

from catalogue import Catalogue

from jobs.warehouse.connection import connect

BATCH, AT_ONCE = 4, 3


def embed(path: Path, environment: dict[str, str]) -> None:
    """Run the embed job on a warehouse, with ``environment`` beside this process's own."""
    os.environ.update(environment)
    with connect(path) as connection:
        done = Catalogue(connection).embed(
            embedding_batch_size=BATCH, embedding_requests_in_flight=AT_ONCE, embedding_patience_seconds=8
        )
    assert done["status"] == "done", done
