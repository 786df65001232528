"""Run by torchrun, in tests: rank 0 fits models on the known shop, and its workers take part.

Arguments: a task's name, and a folder for what it writes.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from known_answers import cases, shop, training

from jobs.models import parallel
from jobs.models.base import NO_CASES, Fitting
from jobs.models.registry import make
from jobs.models.store import pack

SMALL = {"width": 8, "window": 5, "dropout": 0.0, "batch_size": 20, "epochs": 3}
FITS = {
    "sasrec": {**SMALL, "blocks": 1, "heads": 2, "negatives": 9, "item_bias": True},
    "bert4rec": {**SMALL, "blocks": 1, "heads": 2},
}
STOPPING = {**FITS["sasrec"], "dropout": 0.3, "epochs": 4, "patience": 2}
SCORES = [0.1, 0.5, 0.4, 0.3]


class Killed(BaseException):
    """Stands for the end of the process."""


def rows():
    """Sequences of which batches of one length leave a single row over, so that a rank has none."""
    everything = training()
    ends = np.flatnonzero(everything.lengths == 4)[: 2 * SMALL["batch_size"] + 1]
    return everything.take(np.concatenate([ends, np.flatnonzero(everything.lengths == 3)[:30]]))


def weights(family):
    model = make(family, FITS[family])
    model.fit(rows(), NO_CASES, shop(), Fitting(3))
    return {name: value for name, value in model.state().items() if name.startswith("network.")}


def stopped(checkpoint, die_in=None):
    """Fit with validation scores that are written beforehand, on rank 0; return the model and when it was asked."""
    model = make("sasrec", STOPPING)
    asked = []

    def score(*_):
        asked.append(len(asked) + 1)
        if asked[-1] == die_in:
            raise Killed
        return SCORES[asked[-1] - 1]

    model._validation_score = score
    try:
        model.fit(rows(), cases(), shop(), Fitting(3, checkpoint))
    except Killed:
        return None, len(asked)
    return model, len(asked)


def lead(task: str, folder: Path) -> None:
    if task == "weights":
        for family in FITS:
            np.savez(folder / f"{family}.npz", **weights(family))
    if task == "fits":
        facts = {}
        for name, change in (("heads", {"heads": 3}), ("fits", {})):
            try:
                make("sasrec", {**FITS["sasrec"], **change}).fit(rows(), NO_CASES, shop(), Fitting())
                facts[name] = "fitted"
            except RuntimeError as error:
                facts[name] = type(error).__name__
        model, facts["asked"] = stopped(folder / "whole.safetensors")
        facts["best_epoch"] = model.best_epoch
        killed, facts["killed"] = stopped(folder / "killed.safetensors", die_in=2)
        SCORES[:] = SCORES[1:]
        resumed, facts["resumed"] = stopped(folder / "killed.safetensors")
        facts["same"] = pack(resumed, shop()) == pack(model, shop())
        (folder / "facts.json").write_text(json.dumps(facts))
    if task == "raise":
        make("sasrec", FITS["sasrec"]).fit(rows(), NO_CASES, shop(), Fitting())
        raise ValueError("rank 0 fails between two fits")


if __name__ == "__main__":
    torch.set_num_threads(1)
    parallel.run(lambda: lead(sys.argv[1], Path(sys.argv[2])))
