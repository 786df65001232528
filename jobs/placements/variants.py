"""Finds variants: items that differ in colour, size or pack alone, so that a list need show only one of them.

Either a column of the catalogue says which items are variants, or their texts do: two items are variants if their
brands are the same, their titles without colours and sizes are the same, and the cosine of their embeddings is high
enough. Numbers stay in a title unless they count or measure something: an iPhone 14 and an iPhone 15 are no variants.
Items that are linked by such pairs form a group (a connected component), so the order of items doesn't matter.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from jobs.core.arrays import Bools, Floats, Ints
from jobs.core.catalog import Catalog
from jobs.placements.placement import unit_vectors
from jobs.placements.rule_relations import ITEM_TABLE, RuleRelations
from jobs.placements.rules import find_required_column, value_codes_of_column
from jobs.warehouse.connection import Connection, transaction

COLOURS = """
    beige black blue bronze brown copper cream crimson cyan gold golden graphite green grey gray indigo ivory khaki
    lavender lilac lime magenta maroon mint mustard navy nude olive orange peach pink plum purple red rose ruby rust
    salmon sand silver tan taupe teal turquoise violet white yellow
    light dark pale bright matt matte clear multicolour multicolor
"""
SIZES = "xxs xs s m l xl xxl xxxl small medium large tiny mini midi maxi big extra"
UNITS = (
    "ml cl dl l litres? liters? g kg mg grams? oz lbs? mm cm m metres? meters? in inch inches ft w v "
    "packs? sets? pairs? pieces? pcs? count ct x"
)

NUMBER = r"\d+(?:[.,]\d+)?"
MEASURE = re.compile(
    rf"\b(?:{NUMBER}\s*[x×*]\s*)*{NUMBER}[\s-]*(?:{UNITS.replace(' ', '|')})\b"
    rf"|\b(?:packs?|sets?|sizes?)(?:\s+of)?\s+{NUMBER}\b"
)
"""Pattern of counts and measures in a title: `250g`, `70 x 140 cm`, `2 pack`, `set of 6`, `size 42`."""

PLAIN_WORDS = frozenset(f"{COLOURS} {SIZES}".split())

COSINE_TOLERANCE = 1e-6
"""Rounding error of a cosine: that of two equal vectors may be a little less than 1."""

ROWS_AT_ONCE = 1000
"""Number of items whose cosines to all items of the same title are computed at once, to bound memory."""


def title_without_variant_words(title: str) -> str:
    """Return a title's words in lower case, without words and numbers that say a colour, a size or a count.

    >>> title_without_variant_words("Bath towel, dark blue, 70 x 140 cm (2 pack)")
    'bath towel'
    """
    words = re.findall(r"\w+", MEASURE.sub(" ", title.lower()))
    return " ".join(word for word in words if word not in PLAIN_WORDS)


def find_variants_by_text(titles: Sequence[str], brands: Sequence[str], vectors: Floats, min_cosine: float) -> Ints:
    """Return an int32 array (items,): the lowest index among the item and its variants.

    Parameters
    ----------
    titles, brands : sequences of str
        An empty text stands for a missing one. An item whose title says only colours and sizes has no variants.
    vectors : float32 array (items, dimensions)
        Embeddings; an item with a row of zeros is judged by its title and brand alone.
    """
    by_title = defaultdict(list)
    for index, (title, brand) in enumerate(zip(titles, brands, strict=True)):
        if plain := title_without_variant_words(title):
            by_title[plain, brand.strip().lower()].append(index)
    starts, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for same_title in by_title.values():
        indices = np.array(same_title)
        units = unit_vectors(vectors[indices])
        has_none: Bools = np.asarray(~units.any(axis=1), dtype=np.bool_)
        for first in range(0, len(indices) if len(indices) > 1 else 0, ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            is_near = (units[rows] @ units.T >= min_cosine - COSINE_TOLERANCE) | has_none[rows, None] | has_none
            row, column = np.nonzero(is_near)
            starts.append(indices[rows][row])
            ends.append(indices[column])
    start, end = np.concatenate(starts), np.concatenate(ends)
    graph = sparse.coo_array((np.ones(len(start), np.bool_), (start, end)), shape=(len(titles), len(titles)))
    _, components = connected_components(graph, directed=False)
    _, lowest, group = np.unique(components, return_index=True, return_inverse=True)
    return lowest[group].astype(np.int32)


def write_variants(
    connection: Connection,
    rule_relations: RuleRelations,
    catalog: Catalog,
    variant_column: str | None,
    min_cosine: float,
) -> None:
    """Replace the rows of ``ml.item_variants``: each item with the first ``item_id`` among it and its variants.

    Parameters
    ----------
    variant_column : str or None
        The column or attribute of items in which variants have the same value; None: variants are found by titles,
        brands and embeddings.
    min_cosine : float
        Least cosine between the embeddings of two variants that titles and brands find.

    Raises
    ------
    UsageError
        If items have no such column.
    """
    if variant_column:
        codes = value_codes_of_column(
            connection, find_required_column("setting variant_column", variant_column, rule_relations.item_columns)
        )
        # an item without a value has no variants: it gets a key of its own
        keys = np.where(codes >= 0, codes, -1 - np.arange(len(codes)))
        _, lowest, group = np.unique(keys, return_index=True, return_inverse=True)
        first = lowest[group].astype(np.int32)
    else:
        brands = connection.execute(f"select coalesce(brand, '') from {ITEM_TABLE} order by item_index").fetchall()  # noqa: S608
        first = find_variants_by_text(
            list(catalog.titles), [brand for (brand,) in brands], catalog.embeddings, min_cosine
        )
    table = pa.table(
        {
            "item_id": pa.array(catalog.item_ids, pa.string()),
            "variant_group": pa.array(catalog.item_ids[first], pa.string()),
        }
    )
    connection.register("new_variants", table)
    with transaction(connection):
        connection.execute("delete from ml.item_variants")
        connection.execute("insert into ml.item_variants by name from new_variants")
    connection.unregister("new_variants")
