"""The log-likelihood ratio, as dbt's macro computes it, against its formula."""

from decimal import Decimal, getcontext

import duckdb
import pytest

from jobs.warehouse.dbt_macros import dbt_macros

MACROS = dbt_macros("together.sql")


def exact_ratio(joint: int, row: int, column: int, total: int) -> float:
    """Return twice the sum of count * ln(count / expected count), with fifty digits."""
    getcontext().prec = 50
    cells = [
        (joint, row, column),
        (row - joint, row, total - column),
        (column - joint, total - row, column),
        (total - row - column + joint, total - row, total - column),
    ]
    terms = [
        count * (Decimal(count) * total / (Decimal(of_row) * of_column)).ln() for count, of_row, of_column in cells
    ]
    return float(2 * sum(terms))


# nearly as many as by chance, twice; more; far more
@pytest.mark.parametrize(
    "counts", [(9, 370, 2213, 90979), (11, 356, 2879, 93175), (3, 5, 4, 90979), (50, 60, 70, 1000)]
)
def test_the_ratio_is_that_of_the_formula_and_never_below_zero(counts):
    sql = MACROS.log_likelihood_ratio(*map(str, counts))
    [(ratio,)] = duckdb.execute(f"select {sql}").fetchall()
    assert ratio >= 0
    assert ratio == pytest.approx(exact_ratio(*counts), rel=1e-9, abs=1e-10)
