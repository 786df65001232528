"""Opening the warehouse file."""

import pytest

from jobs.errors import UsageError
from jobs.warehouse.connection import connect


@pytest.mark.parametrize("name", ["ml.duckdb", "ML.duckdb", "Recommendations.db"])
def test_a_warehouse_named_like_a_schema_is_refused_whatever_the_case_of_its_letters(tmp_path, name):
    with pytest.raises(UsageError, match=f"a warehouse file can't be called '{name}'"):
        connect(tmp_path / name)
    assert not (tmp_path / name).exists()
