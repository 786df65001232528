"""The job place: it fills the lists of the placements that ``nextmart.toml`` describes, under their rules.

Only due lists are filled (:mod:`jobs.placements.due_lists`); the others keep their rows. Lists are written in chunks of
visitors. A list and the hash of what it was made from are written in one transaction, so that the next run goes on
where a killed run has stopped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.core.arrays import Floats, Ints
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import NextmartError
from jobs.language_models.paid_services import PaidServices
from jobs.models.scorer import Scorer
from jobs.nightly.arms import CONTROL_ARM, MODEL_ARM, arm_sql, control_model
from jobs.nightly.last_run import NO_MODEL, read_inputs_of_lists
from jobs.nightly.model_store import RENEWAL_ADVICE, ModelRow, live_model, load_model
from jobs.nightly.promotion import newest_usable_models, why_no_usable_model, why_unusable
from jobs.nightly.recommend import FALLBACK_SOURCE, read_popularity
from jobs.placements.candidates import Exclusions, ModelRanking
from jobs.placements.due_lists import (
    add_needed_lists,
    create_due_lists_table,
    create_needed_lists_table,
    delete_unneeded_lists,
    find_exclusion_start,
)
from jobs.placements.fill import MODEL, PIN, POPULARITY, PartialLists
from jobs.placements.lists import fill_lists
from jobs.placements.placement import (
    ArmRankingInputs,
    Placement,
    VisitorGroupRules,
    make_checked_placement,
    rules_of_visitor_groups,
)
from jobs.placements.rule_relations import create_rule_relations
from jobs.placements.rules import create_visitor_groups
from jobs.placements.stored_rules import rows_of_rules, write_rule_rows
from jobs.placements.variants import write_variants
from jobs.progress import progress, say
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection, count_rows, transaction
from jobs.warehouse.job_runs import JobRun
from jobs.warehouse.reading import items_as_indices, read_catalog, read_frame, sequences_as_indices, target_items_sql

PIN_SOURCE = "pin"
"""Value of the column ``source`` in rows of pinned items."""

VISITORS_PER_CHUNK = 20_000
"""The most visitors whose lists are made at once; it bounds memory."""

SELECT_CHUNK = """
    -- The due lists of a chunk of visitors; `row`: number of the visitor among all visitors with due lists, from 0
    select due.placement, due.group_number, due.row, due.visitor_id, due.excluded, due.list_hash, due.popularity_hash
    from numbered_due_lists as due
    where due.row between $first and $last
    order by due.placement, due.group_number, due.row
"""

SELECT_SEQUENCES_OF_CHUNK = """
    select due.row, {columns}
    from numbered_due_lists as due
    left join sessions.latest_sequences as sequences on due.visitor_id = sequences.visitor_id
    where due.row between $first and $last
    group by due.row order by due.row
"""

NUMBER_DUE_LISTS = """
    create or replace temp table numbered_due_lists as
    select *, dense_rank() over (order by visitor_id) - 1 as row from due_lists
    where placement in (select unnest($placements)) and arm = $arm
"""

DELETE_LISTS = "delete from ml.{table} where (placement, visitor_id) in (select (placement, visitor_id) from new_lists)"


@dataclass(frozen=True)
class ReadyPlacement:
    """A placement with its evaluated rules for each group of visitors, from which its lists can be filled.

    Attributes
    ----------
    placement : Placement
    visitor_group_rules_by_arm : arm -> sequence of VisitorGroupRules
        The rules for each group of visitors, in the order of group numbers.
    exclusion_start : datetime or None
        Time after which events count for the key ``exclude``; None: the placement excludes nothing.
    """

    placement: Placement
    visitor_group_rules_by_arm: Mapping[str, Sequence[VisitorGroupRules]]
    exclusion_start: datetime | None


def fill_placements(connection: Connection, settings: Settings, run_record: JobRun) -> None:
    """Make the due lists of all placements, and write them to ``ml.placement_recommendations``.

    Raises
    ------
    UsageError
        If a rule is wrong; nothing is written then.
    NextmartError
        If a placement's model can't recommend.
    """
    shows_one_per_variant = any(placement.one_per_variant for placement in settings.placements.values())
    if not shows_one_per_variant:  # similar items would follow variants that no night finds anew
        connection.execute("delete from ml.item_variants")
    if not settings.placements and not count_rows(connection, "ml.placement_lists"):
        run_record.status = "unchanged"
        return
    create_needed_lists_table(connection)
    models = {MODEL_ARM: _models_of_placements(connection, settings, run_record)}
    if settings.arms:
        models[CONTROL_ARM] = dict.fromkeys(settings.placements, control_model(connection, settings, run_record))
    dbt_vars = settings.job_vars()
    catalog = read_catalog(connection, dbt_vars.chosen_embedding_model.dimensions)
    popularity = read_popularity(connection, catalog)
    relations = create_rule_relations(connection)
    if shows_one_per_variant:
        write_variants(connection, relations, catalog, settings.variant_column, settings.variant_min_cosine)
        relations = create_rule_relations(connection)
    newest = connection.execute("select max(ended_at) from sessions.sessions").fetchone()
    ready = {}
    for name, placement_settings in settings.placements.items():
        placement = make_checked_placement(connection, name, placement_settings, relations, catalog, dbt_vars)
        group_count = create_visitor_groups(connection, name, placement.visitor_condition, placement.grouping_columns)
        ranking_inputs_of_arms = []
        for arm, of_arm in models.items():
            inputs_of_lists = read_inputs_of_lists(connection, of_arm[name], dbt_vars)
            ranking_inputs_of_arms.append(
                ArmRankingInputs(
                    {"model_version": inputs_of_lists["model_version"], "catalog": inputs_of_lists["catalog"]},
                    ranks_by_popularity=arm == CONTROL_ARM and of_arm[name] is None,
                )
            )
        groups_of_arms = rules_of_visitor_groups(
            connection, placement, group_count, catalog, popularity, ranking_inputs_of_arms
        )
        groups = dict(zip(models, groups_of_arms, strict=True))
        exclusion_start = find_exclusion_start(newest[0] if newest else None, placement)
        add_needed_lists(
            connection,
            placement,
            groups,
            exclusion_start,
            arm_sql(settings.arms, "scope.visitor_id"),
            target_items_sql(dbt_vars, "sequences"),
        )
        ready[name] = ReadyPlacement(placement, groups, exclusion_start)
    due_count = create_due_lists_table(connection)
    rules = rows_of_rules(relations, {name: (each.placement, each.exclusion_start) for name, each in ready.items()})
    with transaction(connection):
        gone_count = delete_unneeded_lists(connection)
        has_new_rules = write_rule_rows(connection, rules)
    if not (due_count or gone_count or has_new_rules):
        run_record.status = "unchanged"
        return
    run_record.rows_in, paid_services = due_count, PaidServices(connection, settings)
    with progress("filling placements", due_count) as advance:
        for arm, of_arm in models.items():
            versions = {name: model.model_version if model else NO_MODEL for name, model in of_arm.items()}
            for version in dict.fromkeys(versions.values()):
                of_version = [name for name in versions if versions[name] == version]
                model = of_arm[of_version[0]]
                scorer = load_model(paid_services, model).scorer(catalog) if model else None
                writer = _PlacementListWriter(
                    connection, catalog, popularity, scorer, model, arm, run_record, bool(dbt_vars.target_event_types)
                )
                for count in writer.write_due_lists({name: ready[name] for name in of_version}):
                    advance(count)


def _models_of_placements(connection: Connection, settings: Settings, run_record: JobRun) -> dict[str, ModelRow | None]:
    """Return the model that ranks the items of each placement, by the placement's name; None: popular items fill it.

    That is so while there is no live model, or no usable model of the family that the placement names.

    Raises
    ------
    NextmartError
        If a placement names a family that the setting models lacks, or the live model can't recommend.
    """
    families = {placement.model for placement in settings.placements.values() if placement.model}
    usable = (
        {model.family: model for model in newest_usable_models(connection, settings, run_record)} if families else {}
    )
    live = live_model(connection)
    models: dict[str, ModelRow | None] = {}
    for name, placement in settings.placements.items():
        if placement.model and placement.model not in usable:
            no_model = f"[placements.{name}] model: there is no usable model of the family {placement.model}"
            if placement.model not in settings.models:
                raise NextmartError(f"{no_model}; name it in the setting models, so that the night trains it")
            reason = why_no_usable_model(connection, settings, placement.model)
            say(f"WARN: {no_model}: {reason}. Popular items fill the placement until `nextmart train` has trained one")
        model = usable.get(placement.model) if placement.model else live
        if model and (why := why_unusable(model, settings)):
            raise NextmartError(f"the live model {model.model_version} can't recommend: {why}; {RENEWAL_ADVICE}")
        models[name] = model
    return models


class _PlacementListWriter:
    """Makes and writes the due lists of one arm, in those placements whose items one model ranks."""

    def __init__(
        self,
        connection: Connection,
        catalog: Catalog,
        popularity: Floats,
        scorer: Scorer | None,
        model_row: ModelRow | None,
        arm: str,
        run_record: JobRun,
        has_target_types: bool,
    ) -> None:
        self._connection, self._catalog, self._popularity = connection, catalog, popularity
        columns = ("items", "is_target") if has_target_types else ("items",)
        self._select_sequences = SELECT_SEQUENCES_OF_CHUNK.format(
            columns=", ".join(f"any_value(coalesce(sequences.{name}, [])) as {name}" for name in columns)
        )
        self._scorer, self._arm, self._run_record = scorer, arm, run_record
        self._sources = np.empty(3, np.object_)
        self._sources[[MODEL, POPULARITY, PIN]] = (
            model_row.family if model_row else FALLBACK_SOURCE,
            FALLBACK_SOURCE,
            PIN_SOURCE,
        )
        self._model_version = model_row.model_version if model_row else NO_MODEL
        self._item_ids = np.array([*catalog.item_ids, None], np.object_)  # the item index -1 selects None at the end

    def write_due_lists(self, placements: Mapping[str, ReadyPlacement]) -> Iterator[int]:
        """Fill and write the due lists of placements, chunk by chunk of visitors; yield the number of lists written."""
        self._connection.execute(NUMBER_DUE_LISTS, {"placements": list(placements), "arm": self._arm})
        row = self._connection.execute("select coalesce(max(row) + 1, 0) from numbered_due_lists").fetchone()
        for first in range(0, row[0] if row else 0, VISITORS_PER_CHUNK):
            chunk = {"first": first, "last": first + VISITORS_PER_CHUNK - 1}
            due = read_frame(self._connection, SELECT_CHUNK, chunk)
            own = read_frame(self._connection, self._select_sequences, chunk)
            sequences = sequences_as_indices(own, self._catalog)
            model_ranking = (
                ModelRanking(self._scorer, sequences, self._catalog.available_mask) if self._scorer else None
            )
            for (name,), lists_due in due.with_columns(row=pl.col("row") - first).group_by("placement"):
                self._fill_placement(placements[str(name)], lists_due, model_ranking, sequences)
            yield len(due)

    def _fill_placement(
        self,
        ready_placement: ReadyPlacement,
        due_lists: pl.DataFrame,
        model_ranking: ModelRanking | None,
        sequences: Sequences,
    ) -> None:
        """Fill and write the due lists of a placement for a chunk of visitors."""
        rows = due_lists["row"].to_numpy()
        excluded = items_as_indices(due_lists["excluded"], self._catalog)
        # give the excluded items a row for each visitor of the chunk: a visitor without a due list has an empty row
        lengths = np.zeros(len(sequences), np.int64)
        lengths[rows] = excluded.lengths
        order = np.argsort(rows, kind="stable")
        by_row = Sequences(excluded.take(order).items, np.concatenate([[0], lengths.cumsum()]))
        exclusions = Exclusions(by_row, len(self._catalog))
        lists = PartialLists.empty(len(due_lists), ready_placement.placement.k)
        reason_items = np.full(lists.items.shape, -1, np.int32)
        list_depends_on_popularity = np.zeros(len(due_lists), np.bool_)
        group_numbers = due_lists["group_number"].to_numpy()
        for number in np.unique(group_numbers):
            rules = ready_placement.visitor_group_rules_by_arm[self._arm][number].rules
            some = np.flatnonzero(group_numbers == number)
            filled, list_depends_on_popularity[some] = fill_lists(
                rules, model_ranking, rows[some], exclusions, self._popularity
            )
            lists.items[some], lists.scores[some], lists.source_codes[some] = (
                filled.items,
                filled.scores,
                filled.source_codes,
            )
            if self._scorer:
                of_model = np.where(filled.source_codes == MODEL, filled.items, -1).astype(np.int32)
                reason_items[some] = self._scorer.reason_items(sequences.take(rows[some]), of_model, rules.allowed_mask)
        self._replace_lists(ready_placement.placement, due_lists, lists, reason_items, list_depends_on_popularity)

    def _replace_lists(
        self,
        placement: Placement,
        due_lists: pl.DataFrame,
        lists: PartialLists,
        reason_items: Ints,
        list_depends_on_popularity: np.ndarray,
    ) -> None:
        """Write the new lists of a placement for some visitors, in place of their old ones, in one transaction.

        Parameters
        ----------
        list_depends_on_popularity : bool array (lists,)
            Whether the list was filled up with popular items, so that it is due when the order of popular items
            changes.
        """
        row, column = np.nonzero(lists.items >= 0)
        new_rows = pa.table(
            {
                "placement": pa.array([placement.name] * len(row), pa.string()),
                "visitor_id": pa.array(due_lists["visitor_id"].to_numpy()[row], pa.string()),
                "rank": pa.array(column + 1, pa.int32()),
                "item_id": pa.array(self._item_ids[lists.items[row, column]], pa.string()),
                "score": pa.array(lists.scores[row, column], pa.float64()),
                "source": pa.array(self._sources[lists.source_codes[row, column]], pa.string()),
                "reason_item_id": pa.array(self._item_ids[reason_items[row, column]], pa.string()),
            }
        )
        new_lists = due_lists.select("placement", "visitor_id", "list_hash", "popularity_hash").with_columns(
            k=pl.lit(placement.k, pl.Int32),
            length=pl.Series((lists.items >= 0).sum(axis=1), dtype=pl.Int32),
            popularity_hash=pl.when(pl.Series(list_depends_on_popularity)).then(pl.col("popularity_hash")),
        )
        self._connection.register("new_rows", new_rows)
        self._connection.register("new_lists", new_lists.to_arrow())
        with transaction(self._connection):
            for table in ("placement_recommendations", "placement_lists"):
                self._connection.execute(DELETE_LISTS.format(table=table))
            self._connection.execute("insert into ml.placement_recommendations by name from new_rows")
            self._connection.execute(
                "insert into ml.placement_lists by name select *, $model_version as model_version, $run_id as run_id, "
                "$generated_at as generated_at, $arm as arm from new_lists",
                {
                    "model_version": self._model_version,
                    "run_id": self._run_record.run_id,
                    "generated_at": now(),
                    "arm": self._arm,
                },
            )
        for view in ("new_rows", "new_lists"):
            self._connection.unregister(view)
        self._run_record.rows_out += len(new_rows)
