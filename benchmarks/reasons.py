"""Measure how often the items of a list have the same reason, on Amazon Beauty and UCI Online Retail.

The reason of a recommended item is the item in the visitor's sequence that explains it. For sequences of at least five
distinct items, the benchmark measures which share of a list has the list's commonest reason, and how many lists have
only one reason. The mean cosine between the texts of item and reason measures how plausible the reasons are. Some lists
can be printed to judge them by eye. The rules that choose reasons differ in their shrinkage
(:data:`jobs.models.reason_lift.SHRINKAGE`): with a very large one, the reason is the item that adds most to the score,
whatever it adds to other items. Texts become vectors by TF-IDF and a singular value decomposition, so that no embedding
model is needed. Run: ``python -m benchmarks.reasons --data uci --families vsknn llmseqsim --show 5``.
"""

import argparse
import re
from collections import Counter

import numpy as np
import polars as pl
from scipy import sparse
from scipy.sparse.linalg import svds

from benchmarks import beauty
from benchmarks.timing import data_folder
from jobs.core.arrays import Floats, Ints, Texts
from jobs.core.catalog import Catalog
from jobs.core.metrics import commonest_reason_shares
from jobs.core.sequences import Sequences
from jobs.evaluation.splits import cutoff_split, holdout_cutoff
from jobs.evaluation.validation_splits import validation_split
from jobs.models import reason_lift
from jobs.models.base import FitOptions
from jobs.models.registry import make_model
from jobs.models.scorer import Scorer, recommend
from jobs.warehouse.reading import cases_as_indices, items_as_indices

FAMILIES = ["vsknn", "markov", "itemknn", "ease", "llmseqsim", "sasrec"]
SHRINKAGE_BY_RULE = {"adds most": 1e9, "with lift": reason_lift.SHRINKAGE}
WIDTH = 64


def main() -> None:
    """Run the benchmark; fit the models, and print the measures of their reasons and some lists."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=["beauty", "uci"], default="beauty")
    parser.add_argument("--families", nargs="+", default=FAMILIES)
    parser.add_argument("--lists", type=int, default=500, help="lists to measure")
    parser.add_argument("--show", type=int, default=0, help="lists to print, with titles and reasons")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of trained families")
    parser.add_argument("--shrinkage", type=float, nargs="*", default=[], help="further rules to compare")
    options = parser.parse_args()
    histories, titles = _beauty_histories_and_titles() if options.data == "beauty" else _uci_histories_and_titles()
    split = cutoff_split(histories, holdout_cutoff(histories, 0.1))
    older, held_out = validation_split(split.train, allow_repeats=False)
    catalog = _make_catalogue(histories["items"].explode().unique().sort().to_numpy().astype(np.object_), titles)
    train, validation = items_as_indices(older["items"], catalog), cases_as_indices(held_out, catalog)
    lengths = split.test["items"].list.n_unique()
    input_sequences = items_as_indices(split.test.filter(lengths >= 5)["items"].head(options.lists), catalog)
    rules = SHRINKAGE_BY_RULE | {f"shrinkage {value:g}": value for value in options.shrinkage}
    print(
        f"{options.data}: {len(train)} sequences to learn from, "
        f"{len(input_sequences)} lists of sequences of 5 items or more"
    )
    for family in options.families:
        given = {"epochs": options.epochs} if "epochs" in make_model(family).parameters else {}
        model = make_model(family, given)
        model.fit(train, validation, catalog, FitOptions())
        scorer = model.scorer(catalog)
        _, item_lists = recommend(scorer, input_sequences, 10)
        for name, shrinkage in rules.items():
            reason_lift.SHRINKAGE = shrinkage  # type: ignore[misc]
            reason_items = scorer.reason_items(input_sequences, item_lists)
            print(
                f"{family:10} {name:14} {_measures_as_text(reason_items, item_lists, input_sequences, catalog)}",
                flush=True,
            )
        reason_lift.SHRINKAGE = SHRINKAGE_BY_RULE["with lift"]  # type: ignore[misc]
        _print_lists(scorer, catalog, input_sequences, item_lists, options.show)


def _measures_as_text(reason_items: Ints, item_lists: Ints, input_sequences: Sequences, catalog: Catalog) -> str:
    """Return a line of text: how often reasons repeat, and how similar their texts are to those of the items."""
    shares = commonest_reason_shares(reason_items)
    shares = shares[~np.isnan(shares)]
    has_reason = reason_items >= 0
    is_newest = reason_items == np.array([row[-1] for row in input_sequences])[:, None]
    lengths = np.maximum(np.linalg.norm(catalog.embeddings, axis=1, keepdims=True), 1e-9)
    unit = catalog.embeddings / lengths
    nearness = (unit[reason_items] * unit[item_lists]).sum(axis=2)[has_reason].mean()
    return (
        f"commonest reason {shares.mean():.0%} of a list, one alone in {(shares == 1).mean():.0%} of lists, "
        f"the newest item {is_newest[has_reason].mean():.0%}; cosine of texts {nearness:.3f}"
    )


def _print_lists(
    scorer: Scorer, catalog: Catalog, input_sequences: Sequences, item_lists: Ints, list_count: int
) -> None:
    """Print ``list_count`` lists: the title of each item, and the title of its reason."""
    for row in np.linspace(0, len(input_sequences) - 1, list_count).astype(int) if list_count else ():
        print("  newest items:", "; ".join(_shorten_title(catalog.titles[item]) for item in input_sequences[row][-8:]))
        chosen = scorer.reason_items(input_sequences.take(np.array([row])), item_lists[[row]])[0]
        for item, reason in zip(item_lists[row], chosen, strict=True):
            if item >= 0:
                because = _shorten_title(catalog.titles[reason]) if reason >= 0 else "-"
                print(f"    {_shorten_title(catalog.titles[item]):45} because of {because}")


def _shorten_title(title: str) -> str:
    return " ".join(title.split())[:45]


def _beauty_histories_and_titles() -> tuple[pl.DataFrame, dict[str, str]]:
    items = pl.read_parquet(data_folder() / "amazon_beauty" / "items.parquet")
    return beauty.reviewer_histories(), dict(zip(items["asin"], items["title"].fill_null(""), strict=True))


def _uci_histories_and_titles() -> tuple[pl.DataFrame, dict[str, str]]:
    """Return a row for each customer, with the columns that ``jobs.evaluation.splits`` reads, and titles by item id."""
    rows = (
        pl.read_parquet(data_folder() / "uci_online_retail" / "transactions.parquet")
        .filter(pl.col("customer_id").is_not_null() & (pl.col("quantity") > 0))
        .with_row_index("row")
        .sort("customer_id", "invoice_ts", "row")
        .with_columns(pl.col("customer_id").cast(pl.String), pl.col("invoice_ts").cast(pl.Datetime("us", "UTC")))
    )
    histories = rows.group_by("customer_id", maintain_order=True).agg(
        pl.col("stock_code").alias("items"),
        pl.col("invoice_ts").alias("event_times"),
        pl.col("invoice_ts").last().alias("ended_at"),
        pl.col("customer_id").first().alias("sequence_id"),
    )
    titles = dict(zip(rows["stock_code"], rows["description"].fill_null(""), strict=True))
    return histories.rename({"customer_id": "visitor_id"}), titles


def _make_catalogue(item_ids: Texts, titles: dict[str, str]) -> Catalog:
    texts = np.array([titles.get(item_id, "") for item_id in item_ids], np.object_)
    return Catalog(item_ids, tfidf_vectors(texts, WIDTH), np.ones(len(item_ids), np.bool_), texts)


def tfidf_vectors(texts: Texts, width: int) -> Floats:
    """Return vectors of texts: TF-IDF of their words, reduced by a singular value decomposition.

    Returns
    -------
    float32 array (texts, width)
    """
    words = [re.findall(r"[a-z]+", text.lower()) for text in texts]
    counts = Counter(word for text in words for word in set(text))
    index = {word: number for number, word in enumerate(sorted(word for word, n in counts.items() if n > 1))}
    cells = [(row, index[word]) for row, text in enumerate(words) for word in text if word in index]
    rows, columns = np.array(cells).T
    matrix = sparse.csr_array((np.ones(len(cells)), (rows, columns)), shape=(len(texts), len(index)))
    matrix = matrix * np.log(len(texts) / np.array([counts[word] for word in index]))
    left, values, _ = svds(sparse.csr_array(matrix), k=width, random_state=0)
    return np.asarray(left * values, np.float32)


if __name__ == "__main__":
    main()
