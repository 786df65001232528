"""Time the embedding of titles on this machine, compared with sentence-transformers' ``encode`` of the same titles.

The whole embed job is timed, from texts in a warehouse to committed vectors. The vectors are compared with those of
``encode``. Run:
``python -m benchmarks.embedding --texts 12101``.
"""

import argparse

import duckdb
import numpy as np
import polars as pl

from benchmarks.timing import data_folder, print_timing, shortest_times
from jobs.embedding.providers.local import BUNDLED_MODEL, LocalProvider
from jobs.orchestration.run_job import run_job
from jobs.settings import Settings
from jobs.warehouse.connection import prepare_warehouse


def main() -> None:
    """Print seconds, the speed relative to ``encode``, and the largest difference between entries of the vectors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    items = pl.read_parquet(data_folder() / "amazon_beauty" / "items.parquet").head(options.texts)
    texts = [title or "Unknown item" for title in items["title"]]
    encoder = LocalProvider(BUNDLED_MODEL)._loaded_model
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        connection.execute("create schema catalog")
        connection.register("titles", pl.DataFrame({"number": range(len(texts)), "text": texts}).to_arrow())
        connection.execute("create table catalog.item_texts as select *, number::varchar as text_hash from titles")

        def run_embed_job() -> np.ndarray:
            connection.execute("delete from ml.embeddings")
            run_job("embed", connection, Settings())
            rows = connection.execute("select embedding from ml.embeddings order by text_hash::integer").fetchnumpy()
            return np.stack(rows["embedding"])

        times = shortest_times(
            {
                "encode": lambda: encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False),
                "nextmart": run_embed_job,
            },
            options.repeats,
        )
    difference = np.abs(times["encode"][1] - times["nextmart"][1]).max()
    print(f"{len(texts):,} titles of Amazon Beauty, {BUNDLED_MODEL}; largest difference of an entry {difference:.1e}")
    print("what, seconds, speed relative to encode")
    for what, (seconds, _) in times.items():
        print_timing(what, seconds, times["encode"][0] / seconds)


if __name__ == "__main__":
    main()
