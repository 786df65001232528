"""Similar items: of items that differ in colour or size alone, one is listed."""

import numpy as np
from tiny_warehouse import TinyWarehouse

from jobs.core.catalog import Catalog
from jobs.nightly.similar_items import find_similar_items, hash_variants, read_variant_groups

ANGLES = {"pen blue": 0.0, "pen green": 0.01, "pen red": 0.02, "pencil": 0.3, "pencil thick": 0.31, "ruler": 0.9}
NAMES = np.array(list(ANGLES), np.object_)
VECTORS = np.array([[np.cos(angle), np.sin(angle)] for angle in ANGLES.values()], np.float32)
CATALOG = Catalog(NAMES, VECTORS, np.ones(len(NAMES), np.bool_))
GROUPS = np.array([0, 0, 0, 3, 3, 5])


def lists(catalog=CATALOG, k=2, groups=GROUPS):
    found = find_similar_items(catalog, k, groups).to_pylist()
    similar = {}
    for row in sorted(found, key=lambda row: (row["item_id"], row["rank"])):
        similar.setdefault(row["item_id"], []).append(row["similar_item_id"])
        assert row["rank"] == len(similar[row["item_id"]])
    return similar


def test_of_variants_the_nearest_alone_is_listed_also_of_the_item_s_own():
    assert lists(groups=None)["pen blue"] == ["pen green", "pen red"]
    assert lists()["pen blue"] == ["pen green", "pencil"]
    assert lists()["ruler"] == ["pencil thick", "pen red"]


def test_a_list_is_filled_however_many_variants_stand_before():
    many = 50
    catalog = Catalog(
        np.array([*(f"pen {number:02}" for number in range(many)), *NAMES], np.object_),
        np.concatenate([np.tile(VECTORS[:1], (many, 1)), VECTORS]),
        np.ones(many + len(NAMES), np.bool_),
    )
    groups = np.concatenate([np.zeros(many, np.int64), np.where(GROUPS == 0, 0, GROUPS + many)])
    assert lists(catalog, 3, groups)["pen 07"] == ["pen 00", "pencil", "ruler"]
    assert lists(catalog, 9, groups)["pen 07"] == ["pen 00", "pencil", "ruler"], "there are no more groups"


def test_groups_are_those_of_the_table_and_a_first_item_may_be_gone():
    tiny = TinyWarehouse()
    assert read_variant_groups(tiny.connection, CATALOG).tolist() == [0, 1, 2, 3, 4, 5]
    assert hash_variants(tiny.connection) is None
    tiny.connection.execute(
        "insert into ml.item_variants values ('pen amber', 'pen amber'), ('pen blue', 'pen amber'), "
        "('pen red', 'pen amber'), ('pencil', 'pencil'), ('pencil thick', 'pencil'), ('gone', 'pencil')"
    )
    assert read_variant_groups(tiny.connection, CATALOG).tolist() == [0, 1, 0, 3, 3, 5]
    before = hash_variants(tiny.connection)
    tiny.connection.execute("delete from ml.item_variants where item_id = 'pencil thick'")
    assert hash_variants(tiny.connection) != before
    tiny.connection.close()
