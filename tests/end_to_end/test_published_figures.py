"""The figures published with arXiv 2309.09261, from the lists that its authors released."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from jobs.core.metrics import METRICS, evaluate, target_ranks
from jobs.evaluation.splits import paper_split
from jobs.evaluation.validation_splits import forward_folds

# Notebook run_experiments.ipynb of dh-r/LLM-Sequential-Recommendation, tag RecSys23: at 10, then at 20.
PUBLISHED = {
    "LLM2BERT4Rec": {
        10: (0.040789, 0.076080, 0.030123, 0.180150, 0.072052, 11.687530),
        20: (0.051216, 0.117700, 0.032933, 0.259731, 0.109868, 11.888101),
    },
    "V-SKNN": {
        10: (0.041488, 0.070933, 0.032601, 0.672672, 0.068919, 12.240720),
        20: (0.047453, 0.094652, 0.034223, 0.889017, 0.090624, 12.492262),
    },
    "LLMSeqSim": {
        10: (0.043951, 0.063101, 0.038004, 0.762664, 0.062878, 13.819031),
        20: (0.047974, 0.079212, 0.039081, 0.888770, 0.078989, 13.857696),
    },
}
ITEMS = 12_101
CASES = 4_469
WIDTH = 20


@dataclass(frozen=True)
class Beauty:
    """The authors' test cases: case ``i`` is session ``sessions[i]``; items are the authors' ids."""

    sessions: pl.DataFrame
    candidates: pl.DataFrame
    lists: pl.DataFrame
    item_counts: np.ndarray

    def recommended(self, model: str) -> np.ndarray:
        rows = self.lists.filter(pl.col("model") == model).join(self.sessions, on="authors_session_id")
        array = np.full((CASES, WIDTH), -1, dtype=np.int32)
        array[rows["case"], rows["rank"] - 1] = rows["authors_item_id"]
        return array

    def targets(self, recommended: np.ndarray) -> np.ndarray:
        """Return the last-day item that the list holds, else any of them.

        Times are days, and which of a last day's items the authors held out is not known for a third of the
        cases. Their lists never hold the others, which were in the input: so any hit is a hit of the target.
        """
        case = self.candidates["case"].to_numpy()
        item = self.candidates["authors_item_id"].to_numpy()
        listed = target_ranks(recommended[case], item) > 0
        targets = np.full(CASES, -1, dtype=np.int32)
        targets[case] = item
        targets[case[listed]] = item[listed]
        return targets


@pytest.fixture
def beauty(real_data) -> Beauty:
    folder = real_data("amazon_beauty")
    events = pl.read_parquet(folder / "interactions.parquet")
    sessions = (
        pl.read_parquet(folder / "authors_test_sessions.parquet", columns=["authors_session_id"])
        .sort("authors_session_id")
        .with_row_index("case")
    )
    # Sessions end later than the last training sequence or, for some, with it: all others of then are train.
    ends = events.group_by("authors_session_id").agg(pl.col("unix_review_time").max().alias("end"))
    cutoff = ends.join(sessions, on="authors_session_id")["end"].min()
    trained = (
        events.join(ends.filter(pl.col("end") <= cutoff), on="authors_session_id")
        .join(sessions, on="authors_session_id", how="anti")["authors_item_id"]
        .unique()
    )
    known = events.filter(pl.col("authors_item_id").is_in(trained.implode()))
    last_day = pl.col("unix_review_time") == pl.col("unix_review_time").max().over("authors_session_id")
    counts = np.bincount(events["authors_item_id"], minlength=ITEMS)
    lists = pl.read_parquet(folder / "authors_recs_top20_recsys23.parquet")
    return Beauty(sessions, known.join(sessions, on="authors_session_id").filter(last_day), lists, counts)


@pytest.mark.parametrize("model", PUBLISHED)
def test_released_lists_score_as_published(beauty, model):
    recommended = beauty.recommended(model)
    measured = evaluate(recommended, beauty.targets(recommended), beauty.item_counts, ITEMS, (10, 20))
    for k, figures in PUBLISHED[model].items():
        rows = measured.filter(pl.col("k") == k)
        found = {row["metric"]: f"{row['value']:.6f}" for row in rows.to_dicts()}
        assert found == {metric: f"{figure:.6f}" for metric, figure in zip(METRICS, figures, strict=True)}
        assert rows["n"].unique().to_list() == [CASES]


def test_paper_split_has_the_published_sizes(real_data):
    folder = real_data("amazon_beauty")
    interactions = pl.read_parquet(folder / "interactions.parquet")
    sequences = (
        interactions.sort("reviewer_id", "unix_review_time", "pos_ticoserec")
        .with_columns(pl.from_epoch("unix_review_time").dt.replace_time_zone("UTC").dt.cast_time_unit("us"))
        .group_by("reviewer_id", maintain_order=True)
        .agg(
            pl.col("asin").alias("items"),
            pl.col("unix_review_time").alias("event_times"),
            pl.col("unix_review_time").max().alias("ended_at"),
        )
        .with_columns(pl.col("reviewer_id").alias("sequence_id"), pl.col("reviewer_id").alias("visitor_id"))
    )
    split = paper_split(sequences)
    assert (len(split.train), len(split.test)) == (17_890, CASES)
    assert split.train["items"].explode().n_unique() == 11_957
    # Only on the day where the parts meet, whose order is open, may the authors' test cases be others.
    authors = pl.read_parquet(folder / "authors_test_sessions.parquet", columns=["authors_session_id"])
    reviewers = interactions.join(authors, on="authors_session_id")["reviewer_id"].unique()
    swapped = set(reviewers) ^ set(split.test["sequence_id"])
    ends = sequences.filter(pl.col("sequence_id").is_in(swapped))["ended_at"].unique().to_list()
    assert ends == [split.cutoff_at]
    assert f"{split.cutoff_at:%Y-%m-%d}" == "2014-06-06"
    assert len(swapped) == 2 * 12
    assert split.test["is_tied"].sum() == 1_569  # the order of a third of the targets is an accident
    # the paper's folds, but for the order of the sequences that end on a day where two parts meet
    found = [(fold.train["items"].explode().n_unique(), len(fold.test)) for fold in forward_folds(split.train)]
    published = [(8_811, 4_462), (10_926, 4_457), (11_684, 4_450)]
    assert np.abs(np.array(found) - published).max() <= 2
