"""Checks that the warehouse exists: no command creates one unasked, since the folder may be wrong or a disk unmounted.

Otherwise nextmart would build an empty warehouse in place of the real one, and publish its empty tables.
"""

from pathlib import Path

from jobs.errors import NextmartError


def require_warehouse(warehouse: Path, more_advice: str = "") -> None:
    """Raise NextmartError if there is no file ``warehouse``.

    Parameters
    ----------
    more_advice : str
        Further advice at the end of the error message: other ways to create a warehouse.
    """
    if not warehouse.exists():
        raise NextmartError(
            f"{_missing_warehouse_text(warehouse)} `nextmart load` makes a warehouse of your files{more_advice}."
        )


def require_no_orphaned_publication(warehouse: Path, published: Path) -> None:
    """Raise NextmartError if the warehouse is missing, but a file ``published`` exists that was made from it.

    Commands that may create a warehouse call this function: a new shop can't have published anything.
    """
    if published.exists() and not warehouse.exists():
        raise NextmartError(
            f"{_missing_warehouse_text(warehouse)} {published.absolute()} was published from one. To begin anew with "
            "an empty "
            "warehouse at this path: --create."
        )


def _missing_warehouse_text(warehouse: Path) -> str:
    return f"there is no warehouse {warehouse.absolute()}. Is this the right folder, and is its disk mounted?"
