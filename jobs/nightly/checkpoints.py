"""Checkpoint files, from which a killed fit continues. A file's name contains hashes of the model and of the data."""

import hashlib
from pathlib import Path

import numpy as np

from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences


def checkpoint_path(work_folder: Path, recipe_fingerprint: str, sequences: Sequences, catalog: Catalog) -> Path:
    """Return the path of a fit's checkpoint; its name is made of ``recipe_fingerprint`` and a hash of the data.

    Parameters
    ----------
    recipe_fingerprint : str
        The hash of all that determines the model except the data, as
        :func:`jobs.nightly.freshness.fingerprint_of_recipe` returns it.
    """
    data_hash = hashlib.sha256()
    for array in (sequences.items, sequences.offsets, catalog.embeddings):
        data_hash.update(np.ascontiguousarray(array).tobytes())
    data_hash.update("\0".join(catalog.item_ids).encode())
    return work_folder / "checkpoints" / f"{recipe_fingerprint[:16]}-{data_hash.hexdigest()[:16]}.safetensors"


def drop_checkpoints(checkpoint_file: Path) -> None:
    """Delete all checkpoints of a fit: the file ``checkpoint_file``, and files whose names begin with its stem.

    Files with longer names are checkpoints of the parts of a fusion, and of the second fit of a model in an experiment.
    """
    for file in checkpoint_file.parent.glob(f"{checkpoint_file.stem}*"):
        file.unlink()


def drop_leftover_checkpoints(usable_checkpoint_files: list[Path]) -> None:
    """Delete a recipe's unusable checkpoints, which killed fits wrote for training data that has changed since.

    Parameters
    ----------
    usable_checkpoint_files : list of Path
        The checkpoints of one recipe that are kept, because a fit may still continue from them.
    """
    stems = tuple(path.stem for path in usable_checkpoint_files)
    recipe_fingerprint, _ = stems[0].split("-")
    for file in usable_checkpoint_files[0].parent.glob(f"{recipe_fingerprint}-*"):
        if not file.name.startswith(stems):
            file.unlink()
