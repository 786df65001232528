"""Fixtures of the tests that run whole commands."""

import pytest
from shop import Shop, built_once

LONG_FILES = ["test_kills.py", "test_real_data.py", "test_embedding_nights.py", "test_nightly.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, so that no process of the tests waits long for another at the end."""
    places = [place for place, item in enumerate(items) if item.path.parent.name == "end_to_end"]
    ranks = {name: rank for rank, name in enumerate(LONG_FILES)}
    in_order = sorted((items[place] for place in places), key=lambda item: ranks.get(item.path.name, len(ranks)))
    for place, item in zip(places, in_order, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def built_shop(shared_folder) -> Shop:
    """A tiny shop after its first night, with real embeddings. Copy it to change it."""

    def build(shop: Shop) -> None:
        shop.set()
        shop.fill()
        shop.call("run")

    return built_once(shared_folder, "shop", build)


@pytest.fixture
def shop(built_shop, tmp_path) -> Shop:
    """Return a copy of the shop that the test may change."""
    return built_shop.copy(tmp_path / "shop")
