"""Checks the rules of placements against the warehouse, and turns them into arrays for each group of visitors."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats
from jobs.core.catalog import Catalog
from jobs.dbt_vars import Vars
from jobs.errors import UsageError
from jobs.placement_settings import PlacementSettings
from jobs.placements.fill import Cap
from jobs.placements.lists import ListRules
from jobs.placements.relevance import Diversity
from jobs.placements.rule_relations import RuleRelations
from jobs.placements.rules import (
    CheckedExpression,
    check_item_rule,
    check_visitor_rule,
    item_boosts,
    item_codes,
    item_conditions,
    require_column,
    require_rules,
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
    repeats : bool
        Whether lists may hold items of the visitor's own sequence.
    items, visitors, boost : CheckedExpression or None
    slots : rank -> CheckedExpression
    caps : tuple of Cap
    pins : rank -> item index
        Pinned items that the catalogue lacks are left out.
    """

    name: str
    settings: PlacementSettings
    k: int
    repeats: bool
    items: CheckedExpression | None
    visitors: CheckedExpression | None
    boost: CheckedExpression | None
    slots: Mapping[int, CheckedExpression]
    caps: tuple[Cap, ...]
    pins: Mapping[int, int]

    @property
    def visitor_columns(self) -> frozenset[str]:
        """The visitor's columns that rules over items name; visitors with the same values in them form a group."""
        rules = [self.items, self.boost, *self.slots.values()]
        return frozenset().union(*(rule.visitor_columns for rule in rules if rule))


@dataclass(frozen=True)
class Ranker:
    """What ranks the items for the lists of one arm: a model, or popularity.

    Attributes
    ----------
    recipe : mapping
        What determines lists besides the rules: the model and the catalogue, in values that JSON can hold.
    only_popularity : bool
        Whether lists consist of popular items, also in placements whose key ``fallback`` allows none.
    """

    recipe: Mapping[str, Any]
    only_popularity: bool = False


@dataclass(frozen=True)
class VisitorGroupRules:
    """The rules of a placement for one group of visitors, with hashes that tell whether lists are due.

    Attributes
    ----------
    rules : ListRules
    content_hash : str
        Hash of all that determines the lists, except the visitor's own items and popularity.
    popularity_hash : str
        Hash of the popularity of the allowed items.
    """

    rules: ListRules
    content_hash: str
    popularity_hash: str


def check_placement(
    connection: Connection,
    name: str,
    settings: PlacementSettings,
    relations: RuleRelations,
    catalog: Catalog,
    dbt_vars: Vars,
) -> Placement:
    """Check a placement's rules against the columns of the warehouse.

    Raises
    ------
    UsageError
        If a rule is wrong; the message names the placement and the key.
    """
    table = f"[placements.{name}]"
    k = settings.k or dbt_vars.recommendations_per_visitor
    require_rules(connection, name, settings, dbt_vars)
    caps = {
        require_column(f"{table} max_per", column, relations.item_columns): limit
        for column, limit in settings.max_per.items()
    }
    if settings.one_per_variant:
        caps[VARIANT_COLUMN] = 1
    indices = catalog.find_indices(np.array(list(settings.pins.values()), np.object_))
    for item, index in zip(settings.pins.values(), indices, strict=True):
        if index < 0:
            say(f"WARN: {table} pins: the catalogue has no item '{item}'; its rank is filled like others")
    return Placement(
        name,
        settings,
        k,
        dbt_vars.allow_repeats if settings.repeats is None else settings.repeats,
        check_item_rule(connection, f"{table} items", settings.items, relations) if settings.items else None,
        check_visitor_rule(connection, f"{table} visitors", settings.visitors, relations)
        if settings.visitors
        else None,
        check_item_rule(connection, f"{table} boost", settings.boost, relations, is_number=True)
        if settings.boost
        else None,
        {
            rank: check_item_rule(connection, f"{table} slots.{rank}", sql, relations)
            for rank, sql in settings.slots.items()
        },
        tuple(Cap(item_codes(connection, column), limit) for column, limit in caps.items()),
        {rank: int(index) for rank, index in zip(settings.pins, indices, strict=True) if index >= 0},
    )


def rules_of_visitor_groups(
    connection: Connection,
    placement: Placement,
    group_count: int,
    catalog: Catalog,
    popularity: Floats,
    rankers: Sequence[Ranker],
) -> list[list[VisitorGroupRules]]:
    """Evaluate a placement's rules for each group of visitors in the temporary table ``placement_groups``.

    Parameters
    ----------
    group_count : int
        Number of groups; their numbers count from 0.
    popularity : float32 array (items,)
    rankers : sequence of Ranker
        One ranker for each arm.

    Returns
    -------
    list of lists of VisitorGroupRules
        A list for each ranker, with the rules of each group in the order of group numbers.

    Raises
    ------
    UsageError
        If there are more than ``MAX_GROUPS`` groups.
    """
    if group_count > MAX_GROUPS:
        raise UsageError(
            f"[placements.{placement.name}]: its rules divide visitors into {group_count:,} groups by "
            f"{', '.join(sorted(placement.visitor_columns))}; {MAX_GROUPS:,} are the most: use coarser values"
        )
    settings = placement.settings
    diversity = None
    if settings.diversity:
        diversity = Diversity(settings.diversity, unit_vectors(catalog.embeddings), POOL_PER_RANK * placement.k)
    details = {
        "version": LISTS_VERSION, "k": placement.k, "repeats": placement.repeats, "diversity": settings.diversity,
        "fallback": settings.fallback, "pins": placement.pins,
    }  # fmt: skip
    # a rule that names no visitor's column has the same values for all groups
    shared_values: dict[str, Any] = {}

    def item_values(
        rule: CheckedExpression, evaluate: Callable[[Connection, CheckedExpression, int], Any], group_number: int
    ) -> Any:
        if rule.visitor_columns:
            return evaluate(connection, rule, group_number)
        if rule.setting not in shared_values:
            shared_values[rule.setting] = evaluate(connection, rule, group_number)
        return shared_values[rule.setting]

    groups: list[list[VisitorGroupRules]] = [[] for _ in rankers]
    for number in range(group_count):
        allowed: Bools = catalog.available
        if placement.items:
            allowed = allowed & item_values(placement.items, item_conditions, number)
        boosts: Doubles | None = item_values(placement.boost, item_boosts, number) if placement.boost else None
        slots = {rank: allowed & item_values(rule, item_conditions, number) for rank, rule in placement.slots.items()}
        for ranker, of_ranker in zip(rankers, groups, strict=True):
            has_fallback = settings.fallback == "popularity" or ranker.only_popularity
            rules = ListRules(
                placement.k, allowed, placement.caps, boosts, placement.pins, slots, diversity, has_fallback
            )
            popularity_hash = hashlib.blake2b(popularity[allowed].tobytes() if has_fallback else b"", digest_size=8)
            content_hash = _content_hash(json.dumps({**ranker.recipe, **details}, sort_keys=True), rules)
            of_ranker.append(VisitorGroupRules(rules, content_hash, popularity_hash.hexdigest()))
    return groups


def unit_vectors(vectors: Floats) -> Floats:
    """Return the vectors scaled to length 1; a vector of zeros stays a vector of zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _content_hash(details: str, rules: ListRules) -> str:
    digest = hashlib.blake2b(details.encode(), digest_size=8)
    digest.update(np.packbits(rules.allowed).tobytes())
    digest.update(b"" if rules.boosts is None else rules.boosts.tobytes())
    for cap in rules.caps:
        digest.update(f"cap {cap.limit}".encode() + cap.codes.tobytes())
    for rank, allowed in sorted(rules.slots.items()):
        digest.update(f"slot {rank}".encode() + np.packbits(allowed).tobytes())
    return digest.hexdigest()
