"""What sqlfluff takes for dbt's ``adapter`` when it renders macros without dbt."""

from collections.abc import Callable


def get_relation(database: str, schema: str, identifier: str) -> str:  # noqa: ARG001
    """Return the name of a relation, which stands in SQL for the relation itself."""
    return identifier


def dispatch(macro_name: str, package: str) -> Callable[..., str]:  # noqa: ARG001
    """Return a function that renders any call of a macro as the call of an SQL function of the same name."""
    return lambda *arguments: f"{macro_name}(1)"  # noqa: ARG005
