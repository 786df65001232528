"""The training loop: epochs with early stopping, and a checkpoint after each that a killed run goes on from."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from jobs.core.device import fork_random
from jobs.files import fsync_folder
from jobs.progress import progress, say
from jobs.training.team import SINGLE_PROCESS, SingleProcess

CLIP_NORM = 5.0  # the paper's; keeps the first steps on a fresh output table tame


def train(
    module: nn.Module,
    epoch_batches: Callable[[np.random.Generator], Iterable[Any]],
    loss_of: Callable[[Any], Tensor],
    validate: Callable[[], float] | None,
    parameters: Mapping[str, Any],
    title: str,
    *,
    seed: int,
    checkpoint: Path | None = None,
    measure: str = "validation nDCG@20",
    team: SingleProcess = SINGLE_PROCESS,
) -> int:
    """Train ``module`` in place, leave it with the averaged weights of its best epoch, and return that epoch's number.

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
        Reads learning_rate, weight_decay, averaging (see :class:`Average`), epochs (at most), patience (epochs
        without a gain).
    title : str
        What the progress line calls the fit.
    seed : int
        Decides everything random.
    checkpoint : Path, optional
        Where the state is kept after each epoch, for a killed run to go on from.
    measure : str
        What people call what ``validate`` returns.
    team : SingleProcess
        With whom epochs are run; ``loss_of`` then gives this rank's part of a batch's loss.
    """
    optimizer = make_optimizer(module, parameters)
    average = Average(module, parameters["averaging"])
    best, progressed = _resume(module, optimizer, average, checkpoint)
    team.start_from(lambda: state_of(module, optimizer))
    with progress(title, parameters["epochs"]) as advance, fork_random():
        advance(progressed["epoch"], "from the checkpoint") if progressed["epoch"] else None
        while progressed["epoch"] < parameters["epochs"] and progressed["since_best"] < parameters["patience"]:
            epoch = progressed["epoch"] + 1
            with team.epoch(epoch):
                run_epoch(module, optimizer, epoch_batches, loss_of, seed, epoch, team, average.update)
            with average.in_place(module):
                score = validate() if validate else None
            if score is None:
                progressed["best_epoch"] = epoch
            elif score > progressed["best_score"]:
                best = {name: value.clone() for name, value in average.weights.items()}
                progressed.update(best_score=score, since_best=0, best_epoch=epoch)
            else:
                progressed["since_best"] += 1
            progressed["epoch"] = epoch
            _save(module, optimizer, average, best, progressed, checkpoint)
            advance(1, "" if score is None else f"{measure} {score:.4f}")
    module.load_state_dict({**module.state_dict(), **(best or average.weights)})
    module.eval()
    return int(progressed["best_epoch"])


def make_optimizer(module: nn.Module, parameters: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return the optimizer of a module; reads learning_rate and weight_decay."""
    return torch.optim.AdamW(
        module.parameters(), lr=parameters["learning_rate"], weight_decay=parameters["weight_decay"], fused=True
    )


def run_epoch(
    module: nn.Module, optimizer: torch.optim.Optimizer, epoch_batches: Callable[[np.random.Generator], Iterable[Any]],
    loss_of: Callable[[Any], Tensor], seed: int, epoch: int, team: SingleProcess,
    after_step: Callable[[nn.Module], None] = lambda _: None,
) -> None:  # fmt: skip
    """Take one step a batch; see :func:`train`."""
    team.seed(seed * 1_000_003 + epoch)
    module.train()
    for batch in epoch_batches(np.random.default_rng([seed, epoch])):
        optimizer.zero_grad(set_to_none=True)
        with team.update(module):
            with torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_available()):
                loss = loss_of(batch)
            loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
        optimizer.step()
        after_step(module)
    module.eval()


class Average:
    """The running mean of a module's weights, in which the noise of single steps cancels out.

    Exponential, with a decay that is shorter at the start, where old weights are of no use (Polyak & Juditsky 1992;
    min(decay, (1 + n) / (10 + n)) as in TensorFlow's ExponentialMovingAverage).

    Attributes
    ----------
    weights : dict of tensors
        By their names in the module.
    steps : int
        Updates so far.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.weights = {name: value.detach().clone() for name, value in module.named_parameters()}
        self.steps = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the mean towards the module's weights."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_([*self.weights.values()], [*module.parameters()], 1 - decay)

    @contextmanager
    def in_place(self, module: nn.Module) -> Iterator[None]:
        """Give the module the mean as its weights while the block runs."""
        own = {name: parameter.data for name, parameter in module.named_parameters()}
        for name, parameter in module.named_parameters():
            parameter.data = self.weights[name]  # no copy: a table of a million items is held often enough
        try:
            yield
        finally:
            for name, parameter in module.named_parameters():
                parameter.data = own[name]


def state_of(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the weights and the optimizer's moments on the CPU, by the names that checkpoints give them."""
    tensors = {f"weights.{name}": value for name, value in module.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    return {name: value.contiguous().cpu() for name, value in tensors.items()}


def take_state(module: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take back :func:`state_of`; other tensors may stand beside."""
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}}
    for key, value in tensors.items():
        part, name = key.split(".", 1)
        parts.setdefault(part, {})[name] = value
    module.load_state_dict(parts["weights"])
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in parts["optimizer"].items():
        number, moment = key.split(".")
        moments.setdefault(int(number), {})[moment] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


def _save(
    module: nn.Module, optimizer: torch.optim.Optimizer, average: Average, best: dict[str, Tensor],
    progressed: dict[str, Any], path: Path | None,
) -> None:  # fmt: skip
    if path is None:
        return
    kept = {f"best.{name}": value.contiguous().cpu() for name, value in best.items()}
    kept |= {f"average.{name}": value.contiguous().cpu() for name, value in average.weights.items()}
    progressed = {**progressed, "steps": average.steps}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    save_file(state_of(module, optimizer) | kept, unfinished, metadata={"progress": json.dumps(progressed)})
    unfinished.replace(path)
    fsync_folder(path.parent)


def _resume(
    module: nn.Module, optimizer: torch.optim.Optimizer, average: Average, path: Path | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    start: dict[str, Any] = {"epoch": 0, "since_best": 0, "best_score": float("-inf"), "best_epoch": 0}
    if path is None or not path.exists():
        return {}, start
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it has no other way to ask
            progressed = json.loads(file.metadata()["progress"])
    except (SafetensorError, OSError) as error:  # as after a power cut: it must not stop every later night too
        say(f"the checkpoint {path} can't be read ({error}): starting over")
        return {}, start
    take_state(module, optimizer, tensors)
    average.steps = progressed.pop("steps")
    for name, value in average.weights.items():
        value.copy_(tensors[f"average.{name}"])
    best = {key.removeprefix("best."): value for key, value in tensors.items() if key.startswith("best.")}
    return best, progressed
