"""Checkpoint files of fits: a killed run continues from them. The file's name tells the recipe and the data."""

import hashlib
from pathlib import Path

import numpy as np

from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences


def checkpoint_path(folder: Path, recipe: str, sequences: Sequences, catalog: Catalog) -> Path:
    """Return the path of a fit's checkpoint; its name is a hash of the recipe and a hash of the training data.

    Parameters
    ----------
    recipe : str
        The fingerprint of the model (:func:`jobs.nightly.freshness.fingerprint`).
    """
    data = hashlib.sha256()
    for array in (sequences.items, sequences.offsets, catalog.embeddings):
        data.update(np.ascontiguousarray(array).tobytes())
    data.update("\0".join(catalog.item_ids).encode())
    return folder / "checkpoints" / f"{recipe[:16]}-{data.hexdigest()[:16]}.safetensors"


def drop_checkpoints(path: Path) -> None:
    """Delete a fit's checkpoint and those of its parts and second fits, whose names begin with the same stem."""
    for file in path.parent.glob(f"{path.stem}*"):
        file.unlink()


def drop_leftovers(checkpoints: list[Path]) -> None:
    """Delete the checkpoints that killed fits of the same recipe left for other data: no fit will use them again.

    Parameters
    ----------
    checkpoints : list of Path
        The checkpoints of one recipe that are still of use.
    """
    stems = tuple(path.stem for path in checkpoints)
    recipe, _ = stems[0].split("-")
    for file in checkpoints[0].parent.glob(f"{recipe}-*"):
        if not file.name.startswith(stems):
            file.unlink()
