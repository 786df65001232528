"""The training loop: epochs with early stopping, and a checkpoint after each that a killed run goes on from."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from jobs.models.base import Fitting
from jobs.progress import progress, say
from jobs.warehouse import fsync_folder

CLIP_NORM = 5.0  # the paper's; keeps the first steps on a fresh output table tame


def train(
    module: nn.Module,
    epoch_batches: Callable[[np.random.Generator], Iterable[Any]],
    loss_of: Callable[[Any], Tensor],
    validate: Callable[[], float] | None,
    parameters: Mapping[str, Any],
    fitting: Fitting,
    title: str,
    measure: str = "validation nDCG@20",
) -> int:
    """Train ``module`` in place, leave it with the weights of its best epoch, and return that epoch's number.

    All that is random in an epoch is drawn from (seed, epoch), so a run that was killed and goes on from its
    checkpoint ends with the very weights of one that was not.

    Parameters
    ----------
    epoch_batches : Generator -> batches
        One epoch's batches, drawn with the generator given.
    loss_of : batch -> scalar tensor
    validate : () -> float, optional
        Higher is better; decides when to stop and which epoch to keep. Without it all epochs run, the last is kept.
    parameters : mapping
        Reads learning_rate, weight_decay, epochs (at most), patience (epochs without a gain).
    measure : str
        What people call what ``validate`` returns.
    """
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=parameters["learning_rate"], weight_decay=parameters["weight_decay"], fused=True
    )
    best, progressed = _resume(module, optimizer, fitting.checkpoint)
    with progress(title, parameters["epochs"]) as advance, torch.random.fork_rng():
        advance(progressed["epoch"], "from the checkpoint") if progressed["epoch"] else None
        while progressed["epoch"] < parameters["epochs"] and progressed["since_best"] < parameters["patience"]:
            epoch = progressed["epoch"] + 1
            torch.manual_seed(fitting.seed * 1_000_003 + epoch)
            _run_epoch(module, optimizer, epoch_batches(np.random.default_rng([fitting.seed, epoch])), loss_of)
            score = validate() if validate else None
            if score is None:
                progressed["best_epoch"] = epoch
            elif score > progressed["best_score"]:
                best = {name: value.detach().clone() for name, value in module.state_dict().items()}
                progressed.update(best_score=score, since_best=0, best_epoch=epoch)
            else:
                progressed["since_best"] += 1
            progressed["epoch"] = epoch
            _save(module, optimizer, best, progressed, fitting.checkpoint)
            advance(1, "" if score is None else f"{measure} {score:.4f}")
    if best:
        module.load_state_dict(best)
    module.eval()
    return int(progressed["best_epoch"])


def _run_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Any],
    loss_of: Callable[[Any], Tensor],
) -> None:
    module.train()
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_available()):
            loss = loss_of(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
        optimizer.step()
    module.eval()


def _save(
    module: nn.Module, optimizer: torch.optim.Optimizer, best: dict[str, Tensor], progressed: dict[str, Any],
    path: Path | None,
) -> None:  # fmt: skip
    if path is None:
        return
    tensors = {f"weights.{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    save_file(
        {name: value.contiguous().cpu() for name, value in tensors.items()},
        unfinished,
        metadata={"progress": json.dumps(progressed)},
    )
    unfinished.replace(path)
    fsync_folder(path.parent)


def _resume(
    module: nn.Module, optimizer: torch.optim.Optimizer, path: Path | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    start: dict[str, Any] = {"epoch": 0, "since_best": 0, "best_score": float("-inf"), "best_epoch": 0}
    if path is None or not path.exists():
        return {}, start
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - safe_open has no other way to ask
                part, name = key.split(".", 1)
                parts[part][name] = file.get_tensor(key)
            progressed = json.loads(file.metadata()["progress"])
    except (SafetensorError, OSError) as error:  # as after a power cut: it must not stop every later night too
        say(f"the checkpoint {path} can't be read ({error}): starting over")
        return {}, start
    module.load_state_dict(parts["weights"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        number, moment = name.split(".")
        moments.setdefault(int(number), {})[moment] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return parts["best"], progressed
