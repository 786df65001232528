"""Several processes that ``torchrun`` started: what nextmart does in them, and what it refuses to do."""

import os

from jobs.errors import UsageError


def is_one_of_several() -> bool:
    """Tell whether ``torchrun`` started this process and others, to train together."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def require_one() -> None:
    """Refuse to start dbt under ``torchrun``.

    Raises
    ------
    UsageError
        If there are several processes: dbt trains in one of its own, which is none of them.
    """
    if is_one_of_several():
        raise UsageError(
            "torchrun can start `nextmart train` and `nextmart experiment`, not what dbt orchestrates: start "
            "`nextmart train` with it, then run this without; models that are fresh are not trained again"
        )
