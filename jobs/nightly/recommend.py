"""The recommend job: it makes the live model's recommendations for every visitor, and each item's most similar items.

Visitors of the control (:mod:`jobs.nightly.arms`) get recommendations of another model, or popular items.

A visitor whose sequence did not change since the last run keeps the rows of that run, as long as the model, the
catalogue and the dbt vars are the same. So the work of a night grows with that night's events, not with the number of
all visitors.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import torch

from jobs.core.arrays import Bools, Floats, Ints
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.core.topk import top_k
from jobs.dbt_vars import JobVars
from jobs.errors import NextmartError
from jobs.language_models.paid_services import PaidServices
from jobs.models.scorer import Scorer
from jobs.models.scorer import recommend as rank
from jobs.nightly.arms import CONTROL_ARM, MODEL_ARM, arm_sql, control_model, read_arm_inputs
from jobs.nightly.due_visitors import create_due_visitors_table
from jobs.nightly.last_run import NO_MODEL, read_inputs_of_lists, read_last_recommend_run
from jobs.nightly.model_store import RENEWAL_ADVICE, ModelRow, live_model, load_model
from jobs.nightly.promotion import newest_usable_models, promote, why_unusable
from jobs.nightly.similar_items import hash_variants, write_similar_items
from jobs.progress import progress
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import read_catalog, read_frame, sequences_as_indices

FALLBACK_SOURCE = "popularity"
"""Value of the column ``source`` in rows that fill up a list because the model recommended fewer than k items."""

VISITORS_PER_CHUNK = 20_000  # the most visitors whose lists are made at once; it limits the memory needed

SELECT_CHUNK = """
    select * exclude (arm, has_rows) from due_visitors
    where rowid >= $first and rowid < $first + $count and items is not null and arm = $arm
    order by visitor_id
"""

COPY_KEPT_ROWS = """
    -- Copies the rows of visitors who are not due from an earlier run, the kept run
    insert into ml.recommendations by name
    select * replace ($run_id as run_id) from ml.recommendations
    where run_id = $run_id_of_kept_lists and visitor_id not in (select visitor_id from due_visitors)
"""

DELETE_OLD_ROWS = """
    -- Deletes rows of runs that are older than the runs to keep, and rows that an unfinished run left
    delete from ml.recommendations where run_id not in (
        select run_id from ml.job_runs
        where job = 'recommend' and status = 'done'
        order by run_number desc nulls last, started_at desc, run_id desc
        limit $runs_kept
    )
"""


@dataclass(frozen=True)
class RecommendedLists:
    """The recommendation lists of a chunk of visitors; the index -1 ends a list that is shorter than k.

    Attributes
    ----------
    items : int32 array (visitors, k)
        Item indices, best first.
    scores : float32 array (visitors, k)
    is_from_model : bool array (visitors, k)
        False for entries that fill up the list with popular items.
    reason_items : int32 array (visitors, k)
        The item of the visitor's sequence that explains the entry; -1 if there is none.
    """

    items: Ints
    scores: Floats
    is_from_model: Bools
    reason_items: Ints


def recommend(connection: Connection, settings: Settings, run_record: JobRun) -> None:
    """Write the recommendation lists of a new run to ``ml.recommendations``, unless nothing has changed.

    ``ml.similar_items`` is replaced if the catalogue, its vectors, its variants or the number of similar items changed,
    or if a run was cut short after the last finished run. If the weights of the live model are damaged, the next best
    model becomes live.

    Raises
    ------
    NextmartError
        If the live model can't recommend (:func:`jobs.nightly.promotion.why_unusable`); nothing is written then.
    """
    dbt_vars = settings.job_vars()
    model = live_model(connection)
    if model and model.is_damaged and (usable := newest_usable_models(connection, settings, run_record)):
        promote(connection, settings, usable)
        model = live_model(connection)
    if model and (why := why_unusable(model, settings)):
        raise NextmartError(f"the live model {model.model_version} can't recommend: {why}; {RENEWAL_ADVICE}")
    inputs_of_lists, last_run = read_inputs_of_lists(connection, model, dbt_vars), read_last_recommend_run(connection)
    control = control_model(connection, settings, run_record)
    arm_inputs = read_arm_inputs(connection, settings.arms, control)
    run_record.detail |= inputs_of_lists | arm_inputs
    changed, changed_of_arms = last_run.changed_inputs(inputs_of_lists), last_run.changed_inputs(arm_inputs)
    similar_items_inputs = {"variants": hash_variants(connection)}
    run_record.detail |= similar_items_inputs
    similar_items_are_old = (
        last_run.has_unfinished_successor
        or not changed.isdisjoint({"catalog", "similar"})
        or bool(last_run.changed_inputs(similar_items_inputs))
    )
    run_id_of_kept_lists = None if changed else last_run.run_id
    due_count = create_due_visitors_table(
        connection,
        run_id_of_kept_lists,
        dbt_vars,
        arm_sql(settings.arms),
        is_whole_control_due="control" in changed_of_arms,
    )
    if not (changed or changed_of_arms or similar_items_are_old or due_count):
        run_record.status = "unchanged"
        return
    connection.execute(DELETE_OLD_ROWS, {"runs_kept": settings.runs_kept})
    catalog = read_catalog(connection, dbt_vars.chosen_embedding_model.dimensions)
    if similar_items_are_old:
        write_similar_items(connection, catalog, dbt_vars, run_record)
    connection.execute(COPY_KEPT_ROWS, {"run_id": run_record.run_id, "run_id_of_kept_lists": run_id_of_kept_lists})
    models = {MODEL_ARM: model} | ({CONTROL_ARM: control} if settings.arms else {})
    _write_recommendations(connection, models, catalog, settings, run_record)


def fill_short_lists(
    model_lists: tuple[Floats, Ints], sequences: Sequences, popularity: Floats, k: int, allow_repeats: bool
) -> tuple[Floats, Ints, Bools]:
    """Fill up short lists to k items with the most popular items that are neither in the list nor own targets.

    Parameters
    ----------
    model_lists : float32 and int32 arrays (rows, k)
        Scores and item indices of the model's lists; index -1 after the last item of a list.
    popularity : float32 array (items,)
        Popularity of the items; -inf for items that may not be recommended. Equally popular items are ordered by index.
    allow_repeats : bool
        Whether a list may contain items that are targets in the visitor's sequence.

    Returns
    -------
    scores : float32 array (rows, k)
    items : int32 array (rows, k)
    from_model : bool array (rows, k)
        True for the entries of the model's own lists.
    """
    scores, items = model_lists[0].copy(), model_lists[1].copy()
    is_from_model = items >= 0
    short_rows = np.flatnonzero(~is_from_model.all(axis=1))
    if len(short_rows):
        targets = sequences.keep_targets()
        excluded = [
            np.concatenate([items[row][is_from_model[row]], () if allow_repeats else targets[int(row)]])
            for row in short_rows
        ]
        allowed = np.isfinite(popularity)
        popularity_column = torch.from_numpy(np.where(allowed, popularity, 0).astype(np.float32))[:, None]
        popular_scores, popular_items = top_k(
            torch.ones(len(short_rows), 1),
            popularity_column,
            k,
            excluded_items=Sequences.from_lists(excluded),
            allowed_mask=allowed,
        )
        for short_row, row in enumerate(short_rows):
            length = int(is_from_model[row].sum())
            scores[row, length:] = popular_scores[short_row, : k - length]
            items[row, length:] = popular_items[short_row, : k - length]
    return scores, items, is_from_model


def _write_recommendations(
    connection: Connection,
    models_by_arm: Mapping[str, ModelRow | None],
    catalog: Catalog,
    settings: Settings,
    run_record: JobRun,
) -> None:
    """Make the lists of all due visitors, and insert them into ``ml.recommendations``.

    Parameters
    ----------
    models_by_arm : arm -> ModelRow or None
        The model of each arm; None: the arm gets popular items.
    """
    popularity, paid_services = read_popularity(connection, catalog), PaidServices(connection, settings)
    due = "due_visitors where items is not null"
    run_record.rows_in = count_rows(connection, due)
    with progress("recommending", run_record.rows_in) as advance:
        for arm, model in models_by_arm.items():
            if count_rows(connection, f"{due} and arm = '{arm}'"):
                for count in _RecommendationWriter(
                    paid_services, catalog, popularity, arm, model, run_record
                ).write_due_lists():
                    advance(count)


class _RecommendationWriter:
    """Makes the lists of all due visitors of an arm, chunk by chunk, and writes them to ``ml.recommendations``."""

    def __init__(
        self,
        paid_services: PaidServices,
        catalog: Catalog,
        popularity: Floats,
        arm: str,
        model_row: ModelRow | None,
        run_record: JobRun,
    ) -> None:
        self._connection, self._catalog, self._popularity = paid_services.connection, catalog, popularity
        self._dbt_vars, self._run_record = paid_services.settings.job_vars(), run_record
        self._scorer = load_model(paid_services, model_row).scorer(catalog) if model_row else None
        self._source = model_row.family if model_row else FALLBACK_SOURCE
        self._columns = {
            "run_id": run_record.run_id,
            "model_version": model_row.model_version if model_row else NO_MODEL,
            "generated_at": now(),
            "arm": arm,
        }

    def write_due_lists(self) -> Iterator[int]:
        """Make and write the lists, chunk by chunk of visitors; yield the number of visitors of each written chunk."""
        end = self._connection.execute("select coalesce(max(rowid) + 1, 0) from due_visitors").fetchone()
        for first in range(0, end[0] if end else 0, VISITORS_PER_CHUNK):
            chunk = read_frame(
                self._connection,
                SELECT_CHUNK,
                {"first": first, "count": VISITORS_PER_CHUNK, "arm": self._columns["arm"]},
            )
            if chunk.is_empty():
                continue
            sequences = sequences_as_indices(chunk, self._catalog)
            lists = _make_lists(self._scorer, sequences, self._catalog, self._popularity, self._dbt_vars)
            rows = _recommendation_rows(lists, chunk, self._catalog, self._source)
            self._connection.register("recommendation_rows", rows)
            self._connection.execute(
                "insert into ml.recommendations by name select *, $run_id as run_id, $model_version as model_version, "
                "$generated_at as generated_at, $arm as arm from recommendation_rows",
                self._columns,
            )
            self._run_record.rows_out += len(rows)
            yield len(chunk)


def _make_lists(
    scorer: Scorer | None, sequences: Sequences, catalog: Catalog, popularity: Floats, dbt_vars: JobVars
) -> RecommendedLists:
    """Return a list for each sequence, filled up with popular items. It holds popular items alone without a scorer."""
    k = dbt_vars.recommendations_per_visitor
    if scorer is None:
        model_lists = np.full((len(sequences), k), -np.inf, np.float32), np.full((len(sequences), k), -1, np.int32)
    else:
        model_lists = rank(
            scorer, sequences, k, allowed_mask=catalog.available_mask, allow_repeats=dbt_vars.allow_repeats
        )
    scores, items, is_from_model = fill_short_lists(model_lists, sequences, popularity, k, dbt_vars.allow_repeats)
    model_items = np.where(is_from_model, items, -1).astype(np.int32)
    no_reasons = np.full(items.shape, -1, np.int32)
    reason_items = scorer.reason_items(sequences, model_items, catalog.available_mask) if scorer else no_reasons
    return RecommendedLists(items, scores, is_from_model, reason_items)


def _recommendation_rows(
    recommended_lists: RecommendedLists, due_visitors: pl.DataFrame, catalog: Catalog, source_of_model_entries: str
) -> pa.Table:
    """Return the entries of the lists as rows with columns of ``ml.recommendations``.

    Parameters
    ----------
    due_visitors : DataFrame of visitor_id, sequence_hash
        The visitor of each list.
    source_of_model_entries : str
        Value of the column ``source`` in rows of items that the model recommended.
    """
    row, column = np.nonzero(recommended_lists.items >= 0)
    item_ids = np.array([*catalog.item_ids, None], dtype=np.object_)  # the item index -1 selects this last entry, None
    return pa.table(
        {
            "visitor_id": pa.array(due_visitors["visitor_id"].to_numpy()[row], pa.string()),
            "sequence_hash": pa.array(due_visitors["sequence_hash"].to_numpy()[row], pa.uint64()),
            "rank": pa.array(column + 1, pa.int32()),
            "item_id": pa.array(item_ids[recommended_lists.items[row, column]], pa.string()),
            "score": pa.array(recommended_lists.scores[row, column], pa.float64()),
            "source": pa.array(
                np.where(recommended_lists.is_from_model[row, column], source_of_model_entries, FALLBACK_SOURCE),
                pa.string(),
            ),
            "reason_item_id": pa.array(item_ids[recommended_lists.reason_items[row, column]], pa.string()),
        }
    )


def read_popularity(connection: Connection, catalog: Catalog) -> Floats:
    """Return the popularity of each item, float32 array (items,); -inf for items that may not be recommended."""
    popular_items = connection.execute(
        "select item_id, score from recommendations.popular_items order by rank"
    ).fetchnumpy()
    popularity = np.full(len(catalog), -np.inf, np.float32)
    item_indices = catalog.find_indices(popular_items["item_id"])
    popularity[item_indices[item_indices >= 0]] = popular_items["score"][item_indices >= 0]
    return popularity
