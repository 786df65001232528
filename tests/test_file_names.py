"""Names of test files: pytest imports them by their bare names, so no two may be the same."""

from collections import Counter
from pathlib import Path


def test_no_two_files_have_the_same_name():
    counts = Counter(path.name for path in Path(__file__).parent.rglob("*.py"))
    # each folder may have these, which pytest tells apart or which hold nothing
    repeated = {name for name, count in counts.items() if count > 1} - {"conftest.py", "__init__.py"}
    assert not repeated
