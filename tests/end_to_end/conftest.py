"""Fixtures of the tests that run whole commands."""

import pytest
from shop import Shop, built_once


@pytest.fixture(scope="session")
def built_shop(tmp_path_factory) -> Shop:
    """A tiny shop after its first night, with real embeddings. Copy it to change it."""

    def build(shop: Shop) -> None:
        shop.set()
        shop.fill()
        shop.call("run")

    return built_once(tmp_path_factory, "shop", build)


@pytest.fixture
def shop(built_shop, tmp_path) -> Shop:
    """Return a copy of the shop that the test may change."""
    return built_shop.copy(tmp_path / "shop")
