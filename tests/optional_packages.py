"""Skips tests whose optional package is absent or can't be loaded here."""

import pytest

from jobs.errors import UsageError
from jobs.models.ranking_trees import import_lightgbm


def require_lightgbm() -> None:
    """Skip the test, and say what is missing, if LightGBM can't be imported."""
    try:
        import_lightgbm()
    except UsageError as error:
        pytest.skip(str(error))
