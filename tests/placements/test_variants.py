"""Variants: by titles and embeddings, or by a column; a list shows one of them."""

import numpy as np
import pytest
from placement_warehouse import ITEMS, lists, placement_warehouse, setting

from jobs.errors import UsageError
from jobs.placements.variants import find_variants_by_text, title_without_variant_words
from jobs.settings import Settings


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("Bath towel, dark blue, 70 x 140 cm (2 pack)", "bath towel"),
        ("Espresso beans 250g", "espresso beans"),
        ("Red", ""),
        ("Espresso beans, 1.5 kg, pack of 6", "espresso beans"),
        ("Trainers white size 42", "trainers"),
        ("iPhone 15 case", "iphone 15 case"),
    ],
)
def test_colours_sizes_and_numbers_are_left_out_of_titles(title, plain):
    assert title_without_variant_words(title) == plain


def test_variants_share_title_and_brand_and_lie_near_one_another():
    titles = ["Mug red", "Mug blue", "Mug white", "Mug green", "Red", "Blue", "Cup red", "Mug, set of 2"]
    brands = ["a", "A", "a", "b", "a", "a", "a", "a"]
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [1, 0], [1, 0], [1, 0], [1, 0], [0, 0]], np.float32)
    assert find_variants_by_text(titles[:7], brands[:7], vectors[:7], 0.8).tolist() == [0, 0, 2, 3, 4, 5, 6]
    assert find_variants_by_text(titles, brands, vectors, 0.8).tolist()[7] == 0, (
        "an item without a vector: by its title"
    )


def test_items_with_equal_vectors_are_variants_at_the_highest_cosine_too():
    vectors = np.random.default_rng(0).normal(size=(50, 384)).astype(np.float32)
    titles = [f"mug number{number} {colour}" for colour in ("blue", "red") for number in range(50)]
    found = find_variants_by_text(titles, [""] * 100, np.concatenate([vectors, vectors]), 1.0)
    assert found.tolist() == [*range(50), *range(50)]


def test_groups_are_connected_and_do_not_depend_on_the_order_of_items(monkeypatch):
    monkeypatch.setattr("jobs.placements.variants.ROWS_AT_ONCE", 3)
    random = np.random.default_rng(0)
    angles = random.permutation(np.concatenate([np.arange(0, 1, 0.1), np.arange(2, 3, 0.1)]))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    groups = find_variants_by_text(["Mug"] * 20, [""] * 20, vectors, 0.99)
    assert len(set(groups.tolist())) == 2
    assert len(set(groups[angles < 1].tolist())) == 1, "the ends of the chain are connected by what lies between them"
    assert groups.tolist() == [int(np.flatnonzero(groups == group)[0]) for group in groups]


def test_lists_show_one_of_the_variants_that_a_column_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shop = placement_warehouse()
    wanted = setting(home={"one_per_variant": True, "k": 30}).model_copy(update={"variant_column": "BRAND"})
    shop.run("place", wanted)
    found = list(lists(shop, "home").values())
    assert all(len({item[:2] for item in items}) == len(items) for items in found)
    assert max(map(len, found)) == 5, "there are five brands"
    assert shop.rows("select variant_group, count(*) from ml.item_variants group by all order by all") == [
        (f"i{number}-0", len(ITEMS) // 5) for number in range(5)
    ]
    assert ("home", "max_per", "variant_group", "1") in shop.rows("from ml.placement_rules")
    for without_variants in (setting(home={"k": 30}), setting()):
        shop.run("place", without_variants)
        assert shop.rows("from ml.item_variants") == [], "no placement asks for variants any more"
        shop.run("place", wanted)
        assert len(shop.rows("from ml.item_variants")) == len(ITEMS)
    with pytest.raises(UsageError, match="setting variant_column: items have no column or attribute 'brnd'"):
        shop.run("place", Settings(placements={"home": {"one_per_variant": True}}, variant_column="brnd"))
