"""A warehouse that is missing: the working folder may be wrong, or a disk not mounted, so no command makes one unasked.

An empty warehouse in the place of a real one would be built, and its empty tables published.
"""

from pathlib import Path

from jobs.errors import NextmartError


def require_warehouse(warehouse: Path, more_advice: str = "") -> None:
    """Raise NextmartError if there is no file ``warehouse``.

    Parameters
    ----------
    more_advice : str
        What the error says at its end of other ways to make a warehouse.
    """
    if not warehouse.exists():
        raise NextmartError(f"{_missing(warehouse)} `nextmart load` makes a warehouse of your files{more_advice}.")


def require_no_orphan(warehouse: Path, published: Path) -> None:
    """Raise NextmartError if the warehouse is missing from which the file ``published`` was made.

    A command that may make a warehouse calls this: a new shop has published nothing yet.
    """
    if published.exists() and not warehouse.exists():
        raise NextmartError(
            f"{_missing(warehouse)} {published.absolute()} was published from one. To begin anew with an empty "
            "warehouse at this path: --create."
        )


def _missing(warehouse: Path) -> str:
    return f"there is no warehouse {warehouse.absolute()}. Is this the right folder, and is its disk mounted?"
