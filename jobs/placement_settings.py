"""The settings of placements: each table ``[placements.NAME]`` of ``nextmart.toml`` is a named list with its rules.

This module checks what can be checked of a placement without the warehouse: keys, types and ranges. The meaning of its
SQL is checked when the columns of the warehouse are known (:mod:`jobs.placements.rules`).
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from jobs.families import Family

MAX_K = 1000
"""The most items of a placement's list."""

DEFAULT_PLACEMENT = "default"
"""Name that stands for the lists of ``recommendations.visitor_recommendations`` beside the names of placements."""

PLACEMENT_NAME = re.compile(r"[A-Za-z_][\w-]{0,62}", re.ASCII)

Sql = Annotated[str, Field(min_length=1, pattern=r"\S")]
Rank = Annotated[int, Field(ge=1, le=MAX_K)]


class ExcludeSettings(BaseModel):
    """The key ``exclude`` of a placement leaves out items with which the visitor had events of given types lately."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    event_types: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    """Types of the events whose items are left out, such as `["purchase"]`."""
    days: float = Field(gt=0, le=36_500)
    """Number of days for which an event leaves its item out, counted back from the newest event of all visitors."""


class PlacementSettings(BaseModel):
    """A placement, as the table ``[placements.NAME]`` of ``nextmart.toml`` describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    items: Sql | None = None
    """SQL condition: only items for which it is true are listed. It names columns and attributes of items, and those of
    the visitor as `visitor.COLUMN`: `"category like 'Skin%' and price < 50 and country = visitor.country"`."""
    visitors: Sql | None = None
    """SQL condition over columns and attributes of visitors: only visitors for whom it is true get a list. Unset: all
    visitors who are no bots."""
    exclude: ExcludeSettings | None = None
    """Leaves out items with which the visitor had certain events lately, such as purchases in the last 90 days:
    `{ event_types = ["purchase"], days = 90 }`."""
    repeats: bool | None = None
    """Whether a list may hold items of the visitor's own sequence; unset: what the dbt var `allow_repeats` says."""
    max_per: dict[str, Annotated[int, Field(ge=1, le=MAX_K)]] = {}
    """The most items of a list that have the same value in a column or attribute: `{ brand = 2, category = 4 }`. Items
    without a value are not limited."""
    one_per_variant: bool = False
    """Whether only one of several variants of an item (`catalog.item_variants`) is listed."""
    boost: Sql | None = None
    """SQL expression that computes a number from columns of the item and the visitor. An item's rank score is
    `boost / (60 + rank)`, with its rank by the model among the items that the rules allow; the list is filled by rank
    score. Null counts as 1."""
    pins: dict[Rank, Annotated[str, Field(min_length=1)]] = {}
    """Items at given ranks, for visitors to whom the other rules allow them: `{ 1 = "sku-000042" }`."""
    slots: dict[Rank, Sql] = {}
    """SQL conditions like `items` for given ranks: `{ 3 = "first_seen_days <= 14" }` gives rank 3 to the best item for
    which it is true, if there is one."""
    diversity: float = Field(0, ge=0, le=1)
    """0: best first. Above: each next item is the one with the largest (1 - diversity) * 61 * rank score -
    diversity * (cosine to the nearest item already listed), among the best candidates (maximal marginal relevance)."""
    k: int | None = Field(None, ge=1, le=MAX_K)
    """Length of the lists; unset: the dbt var `recommendations_per_visitor`."""
    model: Family | None = None
    """Family whose newest model ranks the items; unset: the live model."""
    fallback: Literal["popularity", "none"] = "popularity"
    """What fills a list for which the model knows too few items: popular items under the same rules, or nothing."""

    @field_validator("max_per")
    @classmethod
    def _require_distinct_columns(cls, limits: dict[str, int]) -> dict[str, int]:
        if len({column.lower() for column in limits}) < len(limits):
            raise ValueError("a column is named twice; case doesn't count")
        return limits

    @model_validator(mode="after")
    def _require_each_rank_and_pinned_item_once(self) -> "PlacementSettings":
        for rank in self.pins:
            if rank in self.slots:
                raise ValueError(f"rank {rank} has a pin and a slot; give it one of the two")
        items = list(self.pins.values())
        for item in items:
            if items.count(item) > 1:
                raise ValueError(f"the item '{item}' is pinned to two ranks; pin it to one")
        return self


def require_valid_placement_names(placements: dict[str, PlacementSettings]) -> dict[str, PlacementSettings]:
    """Check the names of placements, and return the placements.

    Raises
    ------
    ValueError
        If a name is ``default``, starts with a digit or ``-``, or has characters other than letters, digits, ``_``,
        ``-``.
    """
    for name in placements:
        if name == DEFAULT_PLACEMENT:
            raise ValueError(
                f"'{name}' is what the list of visitor_recommendations is called beside placements; choose another name"
            )
        if not PLACEMENT_NAME.fullmatch(name):
            raise ValueError(f"'{name}' is no name of a placement: letters, digits, _ and - make one, such as home")
    return placements
