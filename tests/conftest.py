"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

DATA_FOLDER = Path(os.environ.get("NEXTMART_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture
def real_data():
    """Path of a real data set's folder, or a skip that says what is missing."""

    def folder(name: str) -> Path:
        path = DATA_FOLDER / name
        if not path.is_dir():
            pytest.skip(f"real data is absent: {path} (set NEXTMART_DATA to the folder that holds {name}/)")
        return path

    return folder
