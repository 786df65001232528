"""Data-parallel training on the processes that ``torchrun`` started: all of them share each batch of one fit.

Rank 0 runs the command. It alone opens the warehouse, validates, writes checkpoints, prints and decides. The other
ranks, its workers, wait for its messages: a fit, the state to start from, an epoch's number, or the end. In an epoch
every rank computes its share of each batch, and the ranks add up their gradients before each step. The update is
therefore that of one process up to rounding, dropout aside, and all ranks keep the same weights without sending them
again. A message consists of safetensors and JSON; nothing is unpickled.

This module knows no model family: :meth:`ProcessGroup.announce_fit` passes on plain facts, which
``jobs.orchestration.workers`` turns into a model.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor, nn

from jobs.core.device import device
from jobs.core.sequences import Sequences
from jobs.errors import NextmartError, UsageError, redact

Batch = tuple[Tensor, Tensor]
"""Items and targets of a batch: int64 (rows, length) each; a negative target is not predicted."""

Tensors = dict[str, Tensor]
"""Tensor name -> tensor."""

# How long a worker waits for a message. Rank 0 may be busy for days with other families, measuring or a slow service.
# A rank that dies is noticed at once all the same: its connections close, and torchrun ends the other ranks.
MESSAGE_TIMEOUT = timedelta(days=30)


class SingleProcess:
    """Training on one process, without workers; :class:`ProcessGroup` has the same interface for several processes."""

    generator: torch.Generator | None = None  # for draws that must be equal on all ranks; None: PyTorch's default

    def announce_fit(self, facts: Mapping[str, Any], rows: Sequences) -> None:
        """Announce the next fit to the workers: plain facts that describe the model, and its training rows."""

    def send_start_state(self, state: Callable[[], Tensors]) -> None:
        """Send the workers the training state to start from, as :func:`jobs.training.loop.state_of` returns it."""

    @contextmanager
    def epoch(self, number: int) -> Iterator[None]:
        """Let the workers run an epoch while the ``with`` block runs the same epoch in this process."""
        yield

    def seed(self, number: int) -> None:
        """Seed the random numbers of an epoch."""
        torch.manual_seed(number)

    def share(self, batch: Batch) -> tuple[Batch, float]:
        """Return this rank's rows of a batch, and the fraction of the batch's targets that these rows hold.

        Parameters
        ----------
        batch : int64 tensors (rows, length), (rows, length)
            Items and targets; a negative target is not predicted.
        """
        return batch, 1.0

    @contextmanager
    def sum_gradients(self, module: nn.Module) -> Iterator[None]:
        """Replace the gradients that the ``with`` block computes for ``module`` by their sum over all ranks."""
        yield


class ProcessGroup(SingleProcess):
    """Training on several processes; this object is one of the ranks.

    Raises
    ------
    UsageError
        If more processes were started than there are GPUs.
    """

    def __init__(self) -> None:
        if torch.cuda.is_available():
            local_rank, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
            if local_rank >= gpus:
                raise UsageError(f"more processes were started than there are GPUs, {gpus}: --nproc-per-node gpu")
            torch.cuda.set_device(local_rank)  # from now on "cuda" means this GPU
        # messages always go over the CPU: waiting for a message on the GPU would keep the GPU busy
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=MESSAGE_TIMEOUT)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._shared_error: Exception | None = None  # the error with which all ranks left an epoch at the same batch
        self._between_epochs = True  # False while an epoch runs, and after one that failed on this rank alone

    def announce_fit(self, facts: Mapping[str, Any], rows: Sequences) -> None:
        """Send the facts and training rows from which the workers make the same network and the same batches."""
        arrays = {"items": rows.items, "offsets": rows.offsets}
        self.send("fit", dict(facts), {name: torch.from_numpy(value) for name, value in arrays.items()})

    def send_start_state(self, state: Callable[[], Tensors]) -> None:
        """Send the workers the training state to start from."""
        self.send("state", {}, state())

    @contextmanager
    def epoch(self, number: int) -> Iterator[None]:
        """Begin an epoch on all ranks; end the process if the epoch fails on this rank alone.

        Raises
        ------
        SystemExit
            If this rank alone failed: the ranks are out of step, so no other fit is possible, and the workers can't
            be told. It is no ``Exception``, so callers that tolerate a failed fit do not go on.
        """
        if self.rank == 0:
            self.send("epoch", {"number": number})
        self._between_epochs = False
        try:
            yield
        except Exception as error:
            if error is not self._shared_error:
                raise SystemExit(f"nextmart: rank {self.rank}: {redact(f'{type(error).__name__}: {error}')}") from error
            # forget the error: its traceback would keep the batch's tensors in memory
            self._shared_error, self._between_epochs = None, True
            raise
        self._between_epochs = True

    def seed(self, number: int) -> None:
        """Seed an epoch: ``generator`` alike on all ranks, as in one process; PyTorch's default (dropout) per rank."""
        self.generator = torch.Generator(device()).manual_seed(number)
        rank_seed = np.random.SeedSequence([number, self.rank]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(rank_seed))

    def share(self, batch: Batch) -> tuple[Batch, float]:
        """Return every size-th row of a batch; a rank without a row gets one row with weight 0, to stay in step."""
        items, targets = batch
        if self.rank >= len(targets):
            return (items[:1], targets[:1]), 0.0
        rows = slice(self.rank, None, self.size)
        predicted = (targets >= 0).sum(dim=1)
        return (items[rows], targets[rows]), int(predicted[rows].sum()) / int(predicted.sum())

    @contextmanager
    def sum_gradients(self, module: nn.Module) -> Iterator[None]:
        """Sum the gradients over all ranks in one all-reduce; if any rank failed, every rank raises an error."""
        error: Exception | None = None
        try:
            yield
        except Exception as caught:  # the other ranks wait in the all-reduce, so this rank must take part all the same
            error = caught
        weights = list(module.parameters())
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        failed = gradients[0].new_tensor([error is not None])
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), failed])
        with self._exit_if_a_rank_is_lost():
            dist.all_reduce(flat)
        if flat[-1]:
            self._shared_error = error or NextmartError("another rank failed; its message says why")
            raise self._shared_error
        for weight, total in zip(weights, torch.split(flat, [*map(Tensor.numel, weights), 1]), strict=False):
            weight.grad = total.view_as(weight)

    def send(self, kind: str, facts: dict[str, Any], tensors: Tensors | None = None) -> None:
        """Send every worker a message: its kind ("fit", "state", "epoch" or "end"), facts as JSON, and tensors."""
        text = torch.frombuffer(bytearray(json.dumps([kind, facts]).encode()), dtype=torch.uint8)
        message = save({"facts": text} | {f"tensors.{name}": value for name, value in (tensors or {}).items()})
        self._broadcast(torch.tensor([len(message)]))
        self._broadcast(torch.frombuffer(bytearray(message), dtype=torch.uint8))

    def receive(self) -> tuple[str, dict[str, Any], Tensors]:
        """Wait for rank 0's next message, and return its kind, its facts, and its tensors on the CPU."""
        length = self._broadcast(torch.zeros(1, dtype=torch.int64))
        message = load(self._broadcast(torch.zeros(int(length), dtype=torch.uint8)).numpy().tobytes())
        kind, facts = json.loads(message.pop("facts").numpy().tobytes())
        return kind, facts, {name.removeprefix("tensors."): value for name, value in message.items()}

    def _broadcast(self, tensor: Tensor) -> Tensor:
        with self._exit_if_a_rank_is_lost():
            dist.broadcast(tensor, src=0)
        return tensor

    @contextmanager
    def _exit_if_a_rank_is_lost(self) -> Iterator[None]:
        """End this process if the communication in the ``with`` block fails because another rank has died."""
        try:
            yield
        except RuntimeError as error:
            raise SystemExit(
                f"nextmart: rank {self.rank} has lost another, which may have said why: {error}"
            ) from error

    def end_workers(self) -> None:
        """Tell the workers to end, unless an epoch was left halfway: then torchrun ends them after this process."""
        if self._between_epochs:
            self.send("end", {})
            dist.destroy_process_group()


SINGLE_PROCESS = SingleProcess()

current: SingleProcess = SINGLE_PROCESS  # the team with which this process trains sequence models
