"""The tiny shop, on one thread of the CPU."""

import pytest
import tiny_shop
import torch


@pytest.fixture(autouse=True, scope="package")
def one_thread_of_the_cpu():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.models.sequential.device", lambda: torch.device("cpu"))
        yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny(tmp_path):
    connection = tiny_shop.make_shop(tmp_path / "shop.duckdb")
    yield connection
    connection.close()
