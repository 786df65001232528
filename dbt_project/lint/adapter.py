"""Stand-in for dbt's ``adapter`` in sqlfluff, which renders macros without dbt."""

from collections.abc import Callable


def get_relation(database: str, schema: str, identifier: str) -> str:  # noqa: ARG001
    """Return a stand-in for the relation: its name."""
    return identifier


def dispatch(name: str, package: str) -> Callable[..., str]:  # noqa: ARG001
    """Return a stand-in for the macro ``name``: one that renders as a call of an SQL function."""
    return lambda *arguments: f"{name}(1)"  # noqa: ARG005
