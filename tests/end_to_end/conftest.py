"""Fixtures of the tests that run whole commands."""

import pytest
from shop import Shop


@pytest.fixture(scope="session")
def built_shop(tmp_path_factory) -> Shop:
    """A tiny shop after its first night, with every model family and real embeddings. Copy it to change it."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.set()
    shop.fill()
    shop.call("run")
    return shop


@pytest.fixture
def shop(built_shop, tmp_path) -> Shop:
    """A copy to change."""
    return built_shop.copy(tmp_path / "shop")
