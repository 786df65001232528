"""Checkpoints of fits that a killed run goes on from: one file for each recipe and data."""

import hashlib
from pathlib import Path

import numpy as np

from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences


def drop_checkpoints(path: Path) -> None:
    """Delete a checkpoint and those of parts and second fits, whose names begin with its own."""
    for made in path.parent.glob(f"{path.stem}*"):
        made.unlink()


def drop_leftovers(checkpoints: list[Path]) -> None:
    """Delete what killed fits by the recipe of ``checkpoints`` left of other data: nothing goes on from it."""
    stems = tuple(path.stem for path in checkpoints)
    recipe, _ = stems[0].split("-")
    for made in checkpoints[0].parent.glob(f"{recipe}-*"):
        if not made.name.startswith(stems):
            made.unlink()


def checkpoint_path(folder: Path, recipe: str, sequences: Sequences, catalog: Catalog) -> Path:
    """Return where the checkpoint of a recipe and its data stands: it is of no use to a fit on other data."""
    data = hashlib.sha256()
    for part in (sequences.items, sequences.offsets, catalog.embeddings):
        data.update(np.ascontiguousarray(part).tobytes())
    data.update("\0".join(catalog.item_ids).encode())
    return folder / "checkpoints" / f"{recipe[:16]}-{data.hexdigest()[:16]}.safetensors"
