"""Checkpoint files, from which a killed fit continues. A file's name contains hashes of the model and of the data."""

import hashlib
from pathlib import Path

import numpy as np

from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences


def checkpoint_path(work_folder: Path, fingerprint: str, sequences: Sequences, catalog: Catalog) -> Path:
    """Return the path of a fit's checkpoint; its name is made of the model's fingerprint and a hash of the data.

    Parameters
    ----------
    fingerprint : str
        The hash of all that determines the model except the data (:func:`jobs.nightly.freshness.fingerprint_of_model`).
    """
    data_hash = hashlib.sha256()
    for array in (sequences.items, sequences.offsets, catalog.embeddings):
        data_hash.update(np.ascontiguousarray(array).tobytes())
    data_hash.update("\0".join(catalog.item_ids).encode())
    return work_folder / "checkpoints" / f"{fingerprint[:16]}-{data_hash.hexdigest()[:16]}.safetensors"


def drop_checkpoints(checkpoint_file: Path) -> None:
    """Delete all checkpoints of a fit: the file ``checkpoint_file``, and files whose names begin with its stem.

    Files with longer names are checkpoints of the parts of a fusion, and of the second fit of a model in an experiment.
    """
    for file in checkpoint_file.parent.glob(f"{checkpoint_file.stem}*"):
        file.unlink()


def drop_leftover_checkpoints(usable_checkpoint_files: list[Path]) -> None:
    """Delete checkpoints that killed fits of the same model wrote on other training data, because no fit can use them.

    Parameters
    ----------
    usable_checkpoint_files : list of Path
        The checkpoints of one fingerprint that are kept, because a fit may still continue from them.
    """
    stems = tuple(path.stem for path in usable_checkpoint_files)
    fingerprint, _ = stems[0].split("-")
    for file in usable_checkpoint_files[0].parent.glob(f"{fingerprint}-*"):
        if not file.name.startswith(stems):
            file.unlink()
