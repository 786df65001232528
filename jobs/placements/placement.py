"""Checks the rules of placements against the warehouse, and turns them into arrays for each group of visitors."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats
from jobs.core.catalog import Catalog
from jobs.dbt_vars import JobVars
from jobs.errors import UsageError
from jobs.placement_settings import PlacementSettings
from jobs.placements.fill import Cap
from jobs.placements.lists import ListRules
from jobs.placements.relevance import Diversity
from jobs.placements.rule_relations import RuleRelations
from jobs.placements.rules import (
    CheckedExpression,
    evaluate_boost,
    evaluate_item_condition,
    find_required_column,
    make_checked_item_rule,
    make_checked_visitor_rule,
    require_parsable_rules,
    value_codes_of_column,
)
from jobs.progress import say
from jobs.warehouse.connection import Connection

MAX_GROUPS = 1000
"""The most groups of visitors of one placement: for each group, the rules are evaluated over the whole catalogue."""

POOL_PER_RANK = 10
"""With diversity, a list of k items is chosen among the POOL_PER_RANK * k best candidates."""

VARIANT_COLUMN = "variant_group"
"""The column of items in which variants of one item have the same value."""

LISTS_VERSION = 1
"""Version of the way in which lists are filled; a night after a change of the version makes every list again."""


@dataclass(frozen=True)
class Placement:
    """A placement whose rules have been checked against the columns of the warehouse.

    Attributes
    ----------
    name : str
    settings : PlacementSettings
    k : int
        Length of the lists.
    allow_repeats : bool
        Whether lists may hold items of the visitor's own sequence.
    item_condition, visitor_condition, boost_expression : CheckedExpression or None
    slot_conditions : rank -> CheckedExpression
    caps : tuple of Cap
    pins : rank -> item index
        Pinned items that the catalogue lacks are left out.
    """

    name: str
    settings: PlacementSettings
    k: int
    allow_repeats: bool
    item_condition: CheckedExpression | None
    visitor_condition: CheckedExpression | None
    boost_expression: CheckedExpression | None
    slot_conditions: Mapping[int, CheckedExpression]
    caps: tuple[Cap, ...]
    pins: Mapping[int, int]

    @property
    def grouping_columns(self) -> frozenset[str]:
        """Columns of visitors that rules over items use; visitors with the same values in all of them form a group."""
        rules = [self.item_condition, self.boost_expression, *self.slot_conditions.values()]
        return frozenset().union(*(rule.visitor_columns for rule in rules if rule))


@dataclass(frozen=True)
class ArmRankingInputs:
    """What determines how the items are ranked for the lists of one arm: a model, or popularity.

    Attributes
    ----------
    inputs_of_lists : mapping
        What determines lists besides the rules: the model and the catalogue, in values that JSON can hold.
    ranks_by_popularity : bool
        Whether all items of the lists are ranked by popularity, even if the placement's key ``fallback`` is "none".
    """

    inputs_of_lists: Mapping[str, Any]
    ranks_by_popularity: bool = False


@dataclass(frozen=True)
class VisitorGroupRules:
    """The rules of a placement for one group of visitors, with hashes that tell whether lists are due.

    Attributes
    ----------
    rules : ListRules
    list_inputs_hash : str
        Hash of all that determines the lists, except the visitor's own items and popularity.
    popularity_hash : str
        Hash of the popularity of the allowed items.
    """

    rules: ListRules
    list_inputs_hash: str
    popularity_hash: str


def make_checked_placement(
    connection: Connection,
    placement_name: str,
    placement_settings: PlacementSettings,
    rule_relations: RuleRelations,
    catalog: Catalog,
    job_vars: JobVars,
) -> Placement:
    """Check a placement's rules against the columns of the warehouse, and return the checked placement.

    Raises
    ------
    UsageError
        If a rule is wrong; the message names the placement and the key.
    """
    table = f"[placements.{placement_name}]"
    k = placement_settings.k or job_vars.recommendations_per_visitor
    require_parsable_rules(connection, placement_name, placement_settings, job_vars)
    caps = {
        find_required_column(f"{table} max_per", column, rule_relations.item_columns): limit
        for column, limit in placement_settings.max_per.items()
    }
    if placement_settings.one_per_variant:
        caps[VARIANT_COLUMN] = 1
    indices = catalog.find_indices(np.array(list(placement_settings.pins.values()), np.object_))
    for item, index in zip(placement_settings.pins.values(), indices, strict=True):
        if index < 0:
            say(f"WARN: {table} pins: the catalogue has no item '{item}'; its rank is filled like others")
    return Placement(
        placement_name,
        placement_settings,
        k,
        job_vars.allow_repeats if placement_settings.repeats is None else placement_settings.repeats,
        make_checked_item_rule(connection, f"{table} items", placement_settings.items, rule_relations)
        if placement_settings.items
        else None,
        make_checked_visitor_rule(connection, f"{table} visitors", placement_settings.visitors, rule_relations)
        if placement_settings.visitors
        else None,
        make_checked_item_rule(
            connection, f"{table} boost", placement_settings.boost, rule_relations, must_be_number=True
        )
        if placement_settings.boost
        else None,
        {
            rank: make_checked_item_rule(connection, f"{table} slots.{rank}", sql, rule_relations)
            for rank, sql in placement_settings.slots.items()
        },
        tuple(Cap(value_codes_of_column(connection, column), limit) for column, limit in caps.items()),
        {rank: int(index) for rank, index in zip(placement_settings.pins, indices, strict=True) if index >= 0},
    )


def rules_of_visitor_groups(
    connection: Connection,
    placement: Placement,
    group_count: int,
    catalog: Catalog,
    popularity: Floats,
    ranking_inputs_of_arms: Sequence[ArmRankingInputs],
) -> list[list[VisitorGroupRules]]:
    """Evaluate a placement's rules for each group of visitors in the temporary table ``placement_groups``.

    Return the values as arrays over items.

    Parameters
    ----------
    group_count : int
        Number of groups; their numbers count from 0.
    popularity : float32 array (items,)
    ranking_inputs_of_arms : sequence of ArmRankingInputs
        One element for each arm.

    Returns
    -------
    list of lists of VisitorGroupRules
        A list for each arm, with the rules of each group in the order of group numbers.

    Raises
    ------
    UsageError
        If there are more than ``MAX_GROUPS`` groups.
    """
    if group_count > MAX_GROUPS:
        raise UsageError(
            f"[placements.{placement.name}]: its rules divide visitors into {group_count:,} groups by "
            f"{', '.join(sorted(placement.grouping_columns))}; {MAX_GROUPS:,} are the most: use coarser values"
        )
    settings = placement.settings
    diversity = None
    if settings.diversity:
        diversity = Diversity(settings.diversity, unit_vectors(catalog.embeddings), POOL_PER_RANK * placement.k)
    details = {
        "version": LISTS_VERSION, "k": placement.k, "repeats": placement.allow_repeats, "diversity": settings.diversity,
        "fallback": settings.fallback, "pins": placement.pins,
    }  # fmt: skip
    # a rule that names no visitor's column has the same values for all groups
    shared_values: dict[str, Any] = {}

    def item_values(
        rule: CheckedExpression, evaluate: Callable[[Connection, CheckedExpression, int], Any], group_number: int
    ) -> Any:
        if rule.visitor_columns:
            return evaluate(connection, rule, group_number)
        if rule.setting_name not in shared_values:
            shared_values[rule.setting_name] = evaluate(connection, rule, group_number)
        return shared_values[rule.setting_name]

    groups: list[list[VisitorGroupRules]] = [[] for _ in ranking_inputs_of_arms]
    for number in range(group_count):
        allowed: Bools = catalog.available_mask
        if placement.item_condition:
            allowed = allowed & item_values(placement.item_condition, evaluate_item_condition, number)
        boosts: Doubles | None = (
            item_values(placement.boost_expression, evaluate_boost, number) if placement.boost_expression else None
        )
        slots = {
            rank: allowed & item_values(rule, evaluate_item_condition, number)
            for rank, rule in placement.slot_conditions.items()
        }
        for ranking_inputs, rules_of_arm in zip(ranking_inputs_of_arms, groups, strict=True):
            has_fallback = settings.fallback == "popularity" or ranking_inputs.ranks_by_popularity
            rules = ListRules(
                placement.k, allowed, placement.caps, boosts, placement.pins, slots, diversity, has_fallback
            )
            popularity_hash = hashlib.blake2b(popularity[allowed].tobytes() if has_fallback else b"", digest_size=8)
            list_inputs_hash = _hash_list_inputs(
                json.dumps({**ranking_inputs.inputs_of_lists, **details}, sort_keys=True), rules
            )
            rules_of_arm.append(VisitorGroupRules(rules, list_inputs_hash, popularity_hash.hexdigest()))
    return groups


def unit_vectors(vectors: Floats) -> Floats:
    """Return the vectors scaled to length 1; a vector of zeros stays a vector of zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _hash_list_inputs(inputs_json: str, rules: ListRules) -> str:
    digest = hashlib.blake2b(inputs_json.encode(), digest_size=8)
    digest.update(np.packbits(rules.allowed_mask).tobytes())
    digest.update(b"" if rules.boosts is None else rules.boosts.tobytes())
    for cap in rules.caps:
        digest.update(f"cap {cap.limit}".encode() + cap.value_codes.tobytes())
    for rank, allowed in sorted(rules.slots.items()):
        digest.update(f"slot {rank}".encode() + np.packbits(allowed).tobytes())
    return digest.hexdigest()
