"""Recognizes processes that ``torchrun`` started, and refuses commands that can't run in several processes."""

import os

from jobs.errors import UsageError


def is_one_of_several_processes() -> bool:
    """Tell whether ``torchrun`` started this process together with others, to train on several processes."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def require_single_process() -> None:
    """Raise an error if ``torchrun`` started this command in several processes; commands that call dbt need this check.

    Raises
    ------
    UsageError
        If there are several processes. dbt trains in a process of its own, which could not use the others.
    """
    if is_one_of_several_processes():
        raise UsageError(
            "torchrun can start `nextmart train` and `nextmart experiment`, not what dbt orchestrates: start "
            "`nextmart train` with it, then run this without; models that are fresh are not trained again"
        )
