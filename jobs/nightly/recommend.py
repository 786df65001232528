"""The recommend job: the live model's top k for every visitor, and each item's most similar items.

Visitors whose sequence did not change since the last run keep their rows, as long as model and catalogue stay
the same: a night's cost follows the night's events.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import torch

from jobs.core.arrays import Bools, Floats, Ints
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.core.topk import top_k
from jobs.errors import NextmartError
from jobs.language_models.services import Services
from jobs.models.scorer import Scorer
from jobs.models.scorer import recommend as rank
from jobs.nightly.model_store import RENEW, ModelRow, live, load_model
from jobs.nightly.promotion import why_unusable
from jobs.progress import progress
from jobs.settings import Settings, Vars
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import index_items, read_catalog

FALLBACK = "popularity"  # the source of rows that fill up a list which the model could not
NO_MODEL = "no-model"  # the model_version of a run for which nothing was trained yet
VISITORS_AT_ONCE = 20_000

LAST_RUN = """
    -- the last one that is done, and whether one that is not came after it: it may have written similar items
    with done as (
        select run_id, detail, started_at from ml.job_runs
        where job = 'recommend' and status = 'done'
        order by started_at desc, run_id desc
        limit 1
    )
    select
        run_id, detail,
        exists(
            select 1 from ml.job_runs as later
            where later.job = 'recommend' and later.status in ('interrupted', 'failed')
                and later.started_at > done.started_at
        ) as was_cut_short
    from done
"""

CATALOG_MARK = """
    -- changes when an item comes, goes, is withdrawn, or gets another vector
    select count(*) || ':' || coalesce(bit_xor(hash(items.item_id, items.available, vectors.text_hash)), 0)
    from catalog.items as items
    left join catalog.item_embeddings as vectors on items.item_id = vectors.item_id
"""

DUE_VISITORS = """
    -- whose latest sequence is not the one that their rows were made from; items is null where all events are gone
    create or replace temp table due_visitors as
    with latest as (select visitor_id, items, hash(items) as sequence_hash from sessions.latest_sequences),
    kept as (select distinct visitor_id, sequence_hash from ml.recommendations where run_id = $kept_run_id)
    select
        coalesce(latest.visitor_id, kept.visitor_id) as visitor_id, latest.items, latest.sequence_hash,
        kept.visitor_id is not null as has_rows
    from latest full join kept on latest.visitor_id = kept.visitor_id
    where latest.sequence_hash is distinct from kept.sequence_hash
"""

SATED_VISITORS = """
    -- who has no rows and can't get any, having seen all that is available, would be due night after night
    with stock as (select item_id from catalog.items where available),
    sated as (
        select visitor_id
        from (
            select visitor_id, unnest(items) as item_id from due_visitors
            where not has_rows and len(items) >= (select count(*) from stock)
        )
        semi join stock using (item_id)
        group by visitor_id
        having count(distinct item_id) = (select count(*) from stock)
    )
    delete from due_visitors
    where not has_rows and (
        (select count(*) from stock) = 0 or (not $allow_repeats and visitor_id in (select visitor_id from sated))
    )
"""

KEPT_ROWS = """
    insert into ml.recommendations by name
    select * replace ($run_id as run_id) from ml.recommendations
    where run_id = $kept_run_id and visitor_id not in (select visitor_id from due_visitors)
"""

OLD_ROWS = """
    -- runs past their keep, and what a killed run left
    delete from ml.recommendations where run_id not in (
        select run_id from ml.job_runs
        where job = 'recommend' and status = 'done'
        order by started_at desc, run_id desc
        limit $runs_kept
    )
"""


@dataclass(frozen=True)
class Recommended:
    """Lists for a chunk of visitors, as index arrays (visitors, k); -1 ends a list that is shorter."""

    items: Ints
    scores: Floats
    from_model: Bools
    reasons: Ints


def recommend(connection: Connection, settings: Settings, run: JobRun) -> None:
    """Write a run to ``ml.recommendations``, and ``ml.similar_items`` anew where vectors changed, or a run died.

    Raises
    ------
    NextmartError
        If the live model can't recommend (:func:`jobs.nightly.promotion.why_unusable`); nothing is written then.
    """
    dbt_vars = settings.job_vars()
    model = live(connection)
    if model and (why := why_unusable(model, settings)):
        raise NextmartError(f"the live model {model.model_version} can't recommend: {why}; {RENEW}")
    recipe = _recipe(connection, model, dbt_vars)
    last = connection.execute(LAST_RUN).fetchone()
    last_id, last_detail, was_cut_short = (last[0], _detail(last[1]), last[2]) if last else (None, {}, False)
    run.detail = recipe
    changed = {name for name, value in recipe.items() if last_detail.get(name) != value}
    similar_items_are_old = was_cut_short or not changed.isdisjoint({"catalog", "similar"})
    kept_id = None if changed else last_id
    connection.execute(DUE_VISITORS, {"kept_run_id": kept_id})
    connection.execute(SATED_VISITORS, {"allow_repeats": dbt_vars.allow_repeats})
    is_anyone_due = connection.execute("select count(*) from due_visitors").fetchone() != (0,)
    if not (changed or similar_items_are_old or is_anyone_due):
        run.status = "unchanged"
        return
    connection.execute(OLD_ROWS, {"runs_kept": settings.runs_kept})
    catalog = read_catalog(connection, dbt_vars.embedding.dimensions)
    if similar_items_are_old:
        _write_similar_items(connection, catalog, dbt_vars, run)
    connection.execute(KEPT_ROWS, {"run_id": run.run_id, "kept_run_id": kept_id})
    _write_recommendations(connection, model, catalog, settings, run)


def fill_up(
    found: tuple[Floats, Ints], sequences: Sequences, popularity: Floats, k: int, allow_repeats: bool
) -> tuple[Floats, Ints, Bools]:
    """Fill lists up to k with the most popular items that they and their sequences lack.

    Parameters
    ----------
    found : float32 and int32 arrays (rows, k)
        Scores and indices of the model's lists, -1 from where a list ends.
    popularity : float32 array (items,)
        -inf for items that may not be recommended. Equal ones are taken by index.

    Returns
    -------
    scores, items, bool array that is true for the model's own entries; all (rows, k)
    """
    scores, items = found[0].copy(), found[1].copy()
    from_model = items >= 0
    short = np.flatnonzero(~from_model.all(axis=1))
    if len(short):
        taken = [
            np.concatenate([items[row][from_model[row]], () if allow_repeats else sequences[int(row)]]) for row in short
        ]
        allowed = np.isfinite(popularity)
        column = torch.from_numpy(np.where(allowed, popularity, 0).astype(np.float32))[:, None]
        extra_scores, extra = top_k(
            torch.ones(len(short), 1), column, k, exclude=Sequences.from_lists(taken), allowed=allowed
        )
        for place, row in enumerate(short):
            own = int(from_model[row].sum())
            scores[row, own:], items[row, own:] = extra_scores[place, : k - own], extra[place, : k - own]
    return scores, items, from_model


def _recipe(connection: Connection, model: ModelRow | None, dbt_vars: Vars) -> dict[str, Any]:
    mark = connection.execute(CATALOG_MARK).fetchone()
    return {
        "model_version": model.model_version if model else NO_MODEL,
        "catalog": f"{dbt_vars.embedding_model}/{dbt_vars.embedding.dimensions}/{mark[0] if mark else ''}",
        "similar": dbt_vars.similar_items_per_item,
        "lists": [
            dbt_vars.recommendations_per_visitor, dbt_vars.allow_repeats, dbt_vars.sequence_scope,
            sorted(dbt_vars.sequence_event_types),
        ],
    }  # fmt: skip


def _detail(text: str | None) -> dict[str, Any]:
    return dict(json.loads(text or "{}"))


def _write_recommendations(
    connection: Connection, model: ModelRow | None, catalog: Catalog, settings: Settings, run: JobRun
) -> None:
    dbt_vars = settings.job_vars()
    scorer = load_model(Services(connection, settings), model).scorer(catalog) if model else None
    popularity = _popularity(connection, catalog)
    source = model.model if model else FALLBACK
    generated_at = now()
    visitors = connection.execute("from due_visitors where items is not null order by visitor_id").to_arrow_table()
    run.rows_in = len(visitors)
    with progress("recommending", run.rows_in) as advance:
        for batch in visitors.to_batches(VISITORS_AT_ONCE):
            chunk = pl.from_arrow(batch)
            assert isinstance(chunk, pl.DataFrame)  # noqa: S101 - a batch never becomes a Series
            sequences = index_items(chunk["items"], catalog)
            lists = _lists(scorer, sequences, catalog, popularity, dbt_vars)
            rows = _as_rows(lists, chunk, catalog, source)
            connection.register("ranked", rows)
            connection.execute(
                "insert into ml.recommendations by name select *, $run_id as run_id, "
                "$model_version as model_version, $generated_at as generated_at from ranked",
                {
                    "run_id": run.run_id, "generated_at": generated_at,
                    "model_version": model.model_version if model else NO_MODEL,
                },
            )  # fmt: skip
            run.rows_out += len(rows)
            advance(len(chunk))


def _lists(
    scorer: Scorer | None, sequences: Sequences, catalog: Catalog, popularity: Floats, dbt_vars: Vars
) -> Recommended:
    k = dbt_vars.recommendations_per_visitor
    if scorer is None:
        found = np.full((len(sequences), k), -np.inf, np.float32), np.full((len(sequences), k), -1, np.int32)
    else:
        found = rank(scorer, sequences, k, allowed=catalog.available, allow_repeats=dbt_vars.allow_repeats)
    scores, items, from_model = fill_up(found, sequences, popularity, k, dbt_vars.allow_repeats)
    own = np.where(from_model, items, -1).astype(np.int32)
    why = scorer.reasons(sequences, own, catalog.available) if scorer else np.full(items.shape, -1, np.int32)
    return Recommended(items, scores, from_model, why)


def _as_rows(lists: Recommended, visitors: pl.DataFrame, catalog: Catalog, source: str) -> pa.Table:
    row, column = np.nonzero(lists.items >= 0)
    names = np.array([*catalog.item_ids, None], dtype=np.object_)  # index -1: none
    return pa.table(
        {
            "visitor_id": pa.array(visitors["visitor_id"].to_numpy()[row], pa.string()),
            "sequence_hash": pa.array(visitors["sequence_hash"].to_numpy()[row], pa.uint64()),
            "rank": pa.array(column + 1, pa.int32()),
            "item_id": pa.array(names[lists.items[row, column]], pa.string()),
            "score": pa.array(lists.scores[row, column], pa.float64()),
            "source": pa.array(np.where(lists.from_model[row, column], source, FALLBACK), pa.string()),
            "reason_item_id": pa.array(names[lists.reasons[row, column]], pa.string()),
        }
    )


def _popularity(connection: Connection, catalog: Catalog) -> Floats:
    item_ids, scores = connection.execute(
        "select item_id, score from recommendations.popular_items order by rank"
    ).fetchnumpy().values()  # fmt: skip
    popularity = np.full(len(catalog), -np.inf, np.float32)
    places = catalog.find(item_ids)
    popularity[places[places >= 0]] = scores[places >= 0]
    return popularity


def _write_similar_items(connection: Connection, catalog: Catalog, dbt_vars: Vars, run: JobRun) -> None:
    vectors = torch.nn.functional.normalize(torch.from_numpy(catalog.embeddings), dim=1)
    embedded = np.flatnonzero(catalog.has_embedding)
    itself = Sequences(embedded.astype(np.int32), np.arange(len(embedded) + 1))
    allowed = catalog.has_embedding & catalog.available
    scores, items = top_k(vectors[embedded], vectors, dbt_vars.similar_items_per_item, exclude=itself, allowed=allowed)
    row, column = np.nonzero(items >= 0)
    pairs = pa.table(
        {
            "item_id": pa.array(catalog.item_ids[embedded[row]], pa.string()),
            "rank": pa.array(column + 1, pa.int32()),
            "similar_item_id": pa.array(catalog.item_ids[items[row, column]], pa.string()),
            "score": pa.array(scores[row, column], pa.float64()),
        }
    )
    connection.register("pairs", pairs)
    with transaction(connection):
        connection.execute("delete from ml.similar_items where embedding_model = ?", [dbt_vars.embedding_model])
        connection.execute(
            "insert into ml.similar_items by name select *, $run_id as run_id, $embedding_model as embedding_model "
            "from pairs",
            {"run_id": run.run_id, "embedding_model": dbt_vars.embedding_model},
        )
    connection.unregister("pairs")
    run.detail["similar_items"] = len(pairs)
