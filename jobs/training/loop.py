"""The training loop: epochs with early stopping, and a checkpoint after each epoch from which a killed run resumes."""

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

from jobs.core.device import preserve_random_state
from jobs.files import replace_durably
from jobs.progress import progress, say
from jobs.training.processes import SINGLE_PROCESS, SingleProcess

# Gradients with a larger norm are scaled down to this norm, so that the first training steps stay small. The number is
# that of BERT4Rec in arXiv 2309.09261.
CLIP_NORM = 5.0


def train(
    module: nn.Module,
    draw_epoch_batches: Callable[[np.random.Generator], Iterable[Any]],
    compute_loss: Callable[[Any], Tensor],
    validate: Callable[[], float] | None,
    hyperparameters: Mapping[str, Any],
    progress_title: str,
    *,
    seed: int,
    checkpoint_file: Path | None = None,
    score_name: str = "validation nDCG@20",
    process_group: SingleProcess = SINGLE_PROCESS,
    is_time_up: Callable[[], bool] | None = None,
) -> int:
    """Train a module in place with early stopping, and return the number of its best epoch.

    At the end the module has the averaged weights (:class:`WeightAverage`) as they were after its best epoch, and is in
    evaluation mode. All random numbers of an epoch are drawn from (seed, epoch), so a killed run that resumes from its
    checkpoint ends with exactly the same weights as a run that was not killed.

    Parameters
    ----------
    draw_epoch_batches : numpy Generator -> iterable of batches
        Draws one epoch's batches.
    compute_loss : batch -> scalar tensor
        Mean loss of a batch; with several processes, this process's part of the mean loss.
    validate : () -> float, optional
        Validation score, higher is better: it decides when to stop and which epoch's weights to keep. Without it all
        epochs run, and the last epoch's weights are kept.
    hyperparameters : mapping
        ``learning_rate``, ``weight_decay``, ``averaging`` (decay of :class:`WeightAverage`),
        ``epochs`` (largest number of epochs), ``patience`` (training stops after this many epochs without a better
        score).
    progress_title : str
        Text that names this training in the progress line.
    seed : int
        Seed of all random numbers.
    checkpoint_file : Path, optional
        File that holds the training state after each epoch; a killed run resumes from it.
    score_name : str
        Name of the validation score in the progress line.
    process_group : SingleProcess
        The processes that run each epoch together.
    is_time_up : () -> bool, optional
        Asked between two epochs: True ends the training, as if the last epoch had been reached. The first epoch always
        runs. Of several processes only rank 0 asks, since it alone starts epochs.
    """
    optimizer = make_optimizer(module, hyperparameters)
    average = WeightAverage(module, hyperparameters["averaging"])
    best, status = _load_checkpoint(module, optimizer, average, checkpoint_file)
    process_group.send_start_state(lambda: training_state(module, optimizer))
    with progress(progress_title, hyperparameters["epochs"]) as advance, preserve_random_state():
        advance(status["epoch"], "from the checkpoint") if status["epoch"] else None
        while status["epoch"] < hyperparameters["epochs"] and status["since_best"] < hyperparameters["patience"]:
            if status["epoch"] and is_time_up and is_time_up():
                say(
                    f"{progress_title} was stopped after {status['epoch']} of at most {hyperparameters['epochs']} "
                    "epochs, because its time was up"
                )
                break
            epoch = status["epoch"] + 1
            with process_group.joint_epoch(epoch):
                run_epoch(
                    module, optimizer, draw_epoch_batches, compute_loss, seed, epoch, process_group, average.update
                )
            with average.swapped_into(module):
                score = validate() if validate else None
            if score is None:
                status["best_epoch"] = epoch
            elif score > status["best_score"]:
                best = {name: value.clone() for name, value in average.weights.items()}
                status.update(best_score=score, since_best=0, best_epoch=epoch)
            else:
                status["since_best"] += 1
            status["epoch"] = epoch
            _save_checkpoint(module, optimizer, average, best, status, checkpoint_file)
            advance(1, "" if score is None else f"{score_name} {score:.4f}")
    if status["best_epoch"] == hyperparameters["epochs"] and validate:
        say(f"{progress_title} was still gaining in its last epoch: more `epochs` may make a better model")
    module.load_state_dict({**module.state_dict(), **(best or average.weights)})
    module.eval()
    return int(status["best_epoch"])


def make_optimizer(module: nn.Module, hyperparameters: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return an AdamW optimizer for a module, with the hyper-parameters ``learning_rate`` and ``weight_decay``."""
    return torch.optim.AdamW(
        module.parameters(),
        lr=hyperparameters["learning_rate"],
        weight_decay=hyperparameters["weight_decay"],
        fused=True,
    )


def run_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    draw_epoch_batches: Callable[[np.random.Generator], Iterable[Any]],
    compute_loss: Callable[[Any], Tensor],
    seed: int,
    epoch_number: int,
    process_group: SingleProcess,
    after_step: Callable[[nn.Module], None] = lambda _: None,
) -> None:
    """Train a module for one epoch: one optimizer step per batch, each followed by ``after_step(module)``.

    The other parameters are those of :func:`train`.
    """
    process_group.seed_epoch(seed * 1_000_003 + epoch_number)
    module.train()
    for batch in draw_epoch_batches(np.random.default_rng([seed, epoch_number])):
        optimizer.zero_grad(set_to_none=True)
        with process_group.sum_gradients(module):
            with torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_available()):
                loss = compute_loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
        optimizer.step()
        after_step(module)
    module.eval()


class WeightAverage:
    """Exponential moving average of a module's weights, in which the noise of single steps cancels out.

    At step n the average keeps a share of min(decay, (1 + n) / (10 + n)) of its value, as in TensorFlow's
    ExponentialMovingAverage: less in the first steps, so that the initial weights are soon forgotten. Source of
    averaging: Polyak & Juditsky 1992.

    Attributes
    ----------
    weights : dict of tensors
        Averaged weights: parameter name -> tensor.
    steps : int
        Number of calls of :meth:`update` so far.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.weights = {name: value.detach().clone() for name, value in module.named_parameters()}
        self.steps = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the averaged weights towards the module's current weights."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_([*self.weights.values()], [*module.parameters()], 1 - decay)

    @contextmanager
    def swapped_into(self, module: nn.Module) -> Iterator[None]:
        """Give the module the averaged weights while the ``with`` block runs, and its own weights again afterwards."""
        trained = {name: parameter.data for name, parameter in module.named_parameters()}
        for name, parameter in module.named_parameters():
            # the averaged weights are not copied, because a million item vectors need much memory
            parameter.data = self.weights[name]
        try:
            yield
        finally:
            for name, parameter in module.named_parameters():
                parameter.data = trained[name]


def training_state(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return a module's weights and its optimizer's moments: tensor name in checkpoints -> CPU tensor."""
    tensors = {f"weights.{name}": value for name, value in module.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    return {name: value.contiguous().cpu() for name, value in tensors.items()}


def restore_training_state(module: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Load the tensors that :func:`training_state` returned into a module and its optimizer; ignore other tensors."""
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}}
    for key, value in state.items():
        part, name = key.split(".", 1)
        parts.setdefault(part, {})[name] = value
    module.load_state_dict(parts["weights"])
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in parts["optimizer"].items():
        number, moment = key.split(".")
        moments.setdefault(int(number), {})[moment] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


def _save_checkpoint(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    weight_average: WeightAverage,
    best_weights: dict[str, Tensor],
    training_status: dict[str, Any],
    checkpoint_file: Path | None,
) -> None:
    """Write the training state to the file ``checkpoint_file``, atomically and durably; do nothing if it is None."""
    if checkpoint_file is None:
        return
    averages = {f"best.{name}": value.contiguous().cpu() for name, value in best_weights.items()}
    averages |= {f"average.{name}": value.contiguous().cpu() for name, value in weight_average.weights.items()}
    training_status = {**training_status, "steps": weight_average.steps}
    checkpoint_file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = checkpoint_file.with_suffix(".unfinished")
    save_file(
        training_state(module, optimizer) | averages, unfinished, metadata={"progress": json.dumps(training_status)}
    )
    replace_durably(unfinished, checkpoint_file)


def _load_checkpoint(
    module: nn.Module, optimizer: torch.optim.Optimizer, weight_average: WeightAverage, checkpoint_file: Path | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Restore training from a checkpoint, if there is a readable one; return the best weights and the status so far.

    The status holds the number of the last epoch, the number of the best epoch and its score, and how many epochs have
    passed since the best one.
    """
    start: dict[str, Any] = {"epoch": 0, "since_best": 0, "best_score": float("-inf"), "best_epoch": 0}
    if checkpoint_file is None or not checkpoint_file.exists():
        return {}, start
    try:
        with safe_open(checkpoint_file, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - a safetensors file is not a mapping
            status = json.loads(file.metadata()["progress"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        # a damaged checkpoint is ignored: otherwise, after a power cut, every later training would fail
        say(f"the checkpoint {checkpoint_file} can't be read ({error}): starting over")
        return {}, start
    restore_training_state(module, optimizer, tensors)
    weight_average.steps = status.pop("steps")
    for name, value in weight_average.weights.items():
        value.copy_(tensors[f"average.{name}"])
    best = {key.removeprefix("best."): value for key, value in tensors.items() if key.startswith("best.")}
    return best, status
