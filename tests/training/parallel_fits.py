"""Program that tests run under torchrun: rank 0 fits models on the known shop, and its workers take part.

Argument: a folder for the fitted weights and the other results of rank 0.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from known_answers import cases, shop, training

from jobs.core.cases import NO_CASES
from jobs.errors import NextmartError
from jobs.models.base import FitOptions
from jobs.models.registry import make_model
from jobs.models.sequential.sasrec import SASRec
from jobs.nightly.model_store import model_to_bytes
from jobs.orchestration import workers
from jobs.training import loop, processes

SMALL = {
    "width": 8,
    "window": 5,
    "dropout": 0.0,
    "batch_size": 20,
    "epochs": 3,
    "epoch_steps": 1,
    "blocks": 1,
    "heads": 2,
}
FITS = {"sasrec": {**SMALL, "negatives": 9, "item_bias": True}, "bert4rec": SMALL}
SCORES = [0.1, 0.5, 0.4, 0.3]  # validation scores that stop training after the fourth epoch
FAILING = {6: (0, 1), 7: (1,)}  # window of a model -> ranks on which its loss raises an error


class ProcessKilled(BaseException):
    """Stands for the end of the process."""


def training_sequences():
    """Training sequences with a last batch of a single row, of which one of two ranks gets none.

    Each two items have one time, so that each epoch draws their order.
    """
    everything = training()
    fours, threes = (np.flatnonzero(everything.lengths == length) for length in (4, 3))
    chosen = everything.take(np.concatenate([fours[: 2 * SMALL["batch_size"] + 1], threes[:30]]))
    return replace(chosen, time_numbers=np.arange(len(chosen.items), dtype=np.int32) // 2)


def fit(family, checkpoint=None, validation=NO_CASES, model=None, is_time_up=None, **changes):
    model = model or make_model(family, {**FITS[family], **changes})
    model.fit(training_sequences(), validation, shop(), FitOptions(3, checkpoint, is_time_up=is_time_up))
    return model


def weights(model):
    """The weights, with attention's key biases set to 0: no score depends on them, so Adam moves them by rounding."""
    found = {name: value.copy() for name, value in model.state().items() if name.startswith("network.")}
    for name, value in found.items():
        if name.endswith("attention.into.bias"):
            np.split(value, 3)[1][:] = 0
    return found


def fit_with_early_stopping(checkpoint, scores, killed_in_validation=None, epochs_in_time=None):
    """Fit with dropout and given validation scores; return the model, and how often it was validated."""
    model = make_model("sasrec", {**FITS["sasrec"], "dropout": 0.3, "epochs": 9, "patience": 2})
    asked = []

    def score(*_):
        asked.append(len(asked) + 1)
        if asked[-1] == killed_in_validation:
            raise ProcessKilled
        return scores[asked[-1] - 1]

    model._validation_score = score
    try:
        fit("sasrec", checkpoint, cases(), model, lambda: len(asked) == epochs_in_time)
    except ProcessKilled:
        return None, len(asked)
    return model, len(asked)


def failure_as_text(call, *expected_errors, **changes):
    try:
        call("sasrec", **changes)
    except expected_errors as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def run_rank_zero(folder: Path) -> None:
    facts = {
        "on all ranks": failure_as_text(fit, MemoryError, window=6),
        "on the worker": failure_as_text(fit, NextmartError, window=7),
    }
    for family in FITS:
        np.savez(folder / f"{family}.npz", **weights(fit(family)))
    cut_short, facts["asked in time"] = fit_with_early_stopping(None, SCORES, epochs_in_time=3)
    facts["best epoch in time"] = cut_short.best_epoch
    whole, facts["asked"] = fit_with_early_stopping(folder / "whole.safetensors", SCORES)
    facts["best_epoch"] = whole.best_epoch
    _, facts["killed in"] = fit_with_early_stopping(folder / "killed.safetensors", SCORES, killed_in_validation=2)
    resumed, facts["asked after"] = fit_with_early_stopping(folder / "killed.safetensors", SCORES[1:])
    facts["same"] = model_to_bytes(resumed, shop()) == model_to_bytes(whole, shop())
    (folder / "facts.json").write_text(json.dumps(facts))
    # fails in a place where no rank tells the others, as when memory runs out in an optimizer step
    loop.nn.utils.clip_grad_norm_ = raise_memory_error
    try:
        fit("sasrec")
    except Exception:  # an experiment, too, catches a failed fit and goes on
        (folder / "went-on").touch()
        fit("bert4rec")


def raise_memory_error(*_):
    raise MemoryError("no room for a step")


whole_loss = SASRec._loss


def loss_or_failure(model, batch):
    if processes.training_processes.rank in FAILING.get(model.parameters["window"], ()):
        raise MemoryError("too little of it")
    return whole_loss(model, batch)


if __name__ == "__main__":
    SASRec._loss = loss_or_failure
    torch.set_num_threads(1)
    workers.run_with_workers(lambda: run_rank_zero(Path(sys.argv[1])))
