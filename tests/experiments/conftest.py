"""Fixtures for the tests of experiments: a tiny shop, and training on one thread of the CPU."""

import shutil
from pathlib import Path

import pytest
import tiny_shop

from jobs.warehouse.connection import connect


@pytest.fixture(autouse=True, scope="package")
def small_networks(one_thread_of_the_cpu):
    """Apply the fixture to all tests of this folder."""


@pytest.fixture(scope="package")
def shop_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "shop.duckdb"
    tiny_shop.make_shop(path).close()
    return path


@pytest.fixture
def tiny(tmp_path, shop_file):
    with connect(Path(shutil.copy(shop_file, tmp_path))) as connection:
        yield connection
