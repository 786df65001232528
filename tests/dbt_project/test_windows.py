"""No statement numbers rows, or looks at their neighbours, by a window without a partition and an order.

DuckDB 1.5 computes such a window while it reads the rows, with one state for all parts of a `union all`. So a query on
two of them failed by chance, once in some thousand times: too rarely for a test that runs it.
"""

import re

import pytest

from jobs.files import project_folder

STREAMED_WINDOW = re.compile(
    r"\b(row_number|rank|dense_rank|percent_rank|first_value|lag|lead)\s*\([^()]*\)\s*over\s*\(\s*(rows\b[^()]*)?\)"
    r"|\bover\s*\(\s*rows\b",
    re.IGNORECASE,
)
ROOT = project_folder("dbt_project").parent
FILES = sorted(
    path
    for folder, suffix in (("dbt_project", "sql"), ("sql", "sql"), ("jobs", "py"))
    for path in (ROOT / folder).rglob(f"*.{suffix}")
    if "target" not in path.parts
)


def streamed_windows(text):
    """Return the forbidden windows in a text of SQL or Python; comments of Jinja don't count."""
    return [found.group() for found in STREAMED_WINDOW.finditer(re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL))]


def test_no_window_lacks_both_partition_and_order():
    found = {str(path.relative_to(ROOT)): streamed_windows(path.read_text(encoding="utf-8")) for path in FILES}
    assert len(found) > 300
    assert {path: windows for path, windows in found.items() if windows} == {}


@pytest.mark.parametrize(
    "window",
    ["row_number() over ()", "lag(item_id) OVER ( )", "sum(n) over (rows unbounded preceding)", "rank() over(\n)"],
)
def test_such_windows_are_found(window):
    assert streamed_windows(f"select {window} from t") != []


@pytest.mark.parametrize(
    "window", ["row_number() over (order by n)", "sum(n) over ()", "lag(n) over (partition by v order by n)"]
)
def test_windows_with_an_order_or_over_all_rows_are_allowed(window):
    assert streamed_windows(f"select {window} from t") == []
