"""Checks that the warehouse exists. If it doesn't, the folder may be wrong, or a disk may not be mounted.

A command that then created a warehouse unasked would build an empty one beside the real one, and publish empty tables.
"""

from pathlib import Path

from jobs.errors import NextmartError


def require_warehouse(warehouse: Path, more_advice: str = "") -> None:
    """Raise NextmartError if there is no file at the warehouse's path.

    Parameters
    ----------
    more_advice : str
        Further advice at the end of the error message: other ways to create a warehouse.
    """
    if not warehouse.exists():
        raise NextmartError(
            f"{_missing_warehouse_text(warehouse)} `nextmart load` makes a warehouse of your files{more_advice}."
        )


def require_no_orphaned_publication(warehouse: Path, published_file: Path) -> None:
    """Raise NextmartError if there is a published file, but the warehouse that it was made from is missing.

    Commands that may create a warehouse call this function: a new shop can't have published anything.
    """
    if published_file.exists() and not warehouse.exists():
        raise NextmartError(
            f"{_missing_warehouse_text(warehouse)} {published_file.absolute()} was published from one. To begin anew "
            "with an empty warehouse at this path: --create."
        )


def _missing_warehouse_text(warehouse: Path) -> str:
    return f"there is no warehouse {warehouse.absolute()}. Is this the right folder, and is its disk mounted?"
