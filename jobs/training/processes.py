"""Data-parallel training of one model on the processes (ranks) that ``torchrun`` started, which share each batch.

Rank 0 runs the command: it alone opens the warehouse, validates, writes checkpoints, prints and decides. The other
ranks are its workers. They wait for its messages: a model to fit, the training state to start from, the number of an
epoch, or the end. In an epoch every rank computes its share of each batch, and the ranks add up their gradients before
each optimizer step. Each step therefore equals that of a single process, except for rounding and dropout, and all ranks
keep the same weights without sending them again. A message consists of safetensors and JSON; nothing is unpickled.

This module knows no model family: :meth:`ProcessGroup.send_model_to_fit` sends a description of the model, from which
``jobs.orchestration.workers`` makes the model.
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

# This module's functions keep, as a default argument, the process group that exists when the module is imported.
# PyTorch's optimizers import the module too. If they imported it first, the group would never end, and its threads
# would abort this process after Python's own end.
import torch.distributed.nn.functional
from safetensors.torch import load, save
from torch import Tensor, nn

from jobs.core.device import device
from jobs.core.sequences import Sequences
from jobs.errors import NextmartError, UsageError, redact

Batch = tuple[Tensor, Tensor]
"""A batch of training sequences: items and targets, int64 (rows, length) each; negative targets are not predicted."""

Tensors = dict[str, Tensor]
"""Tensor name -> tensor."""

# How long a worker waits for a message from rank 0, which may be busy for days with other models, an evaluation or a
# slow service. A rank that dies is noticed at once all the same: its connections close, and torchrun ends the others.
MESSAGE_TIMEOUT = timedelta(days=30)


class SingleProcess:
    """Training on one process, without workers; :class:`ProcessGroup` has the same interface for several processes."""

    # The random generator that draws the same numbers on all ranks; None stands for PyTorch's default generator.
    shared_generator: torch.Generator | None = None

    def send_model_to_fit(self, model_description: Mapping[str, Any], train_sequences: Sequences) -> None:
        """Do nothing: without workers, nobody needs the model's description and its training sequences."""

    def send_start_state(self, make_state: Callable[[], Tensors]) -> None:
        """Do nothing: without workers, nobody needs the training state to start from."""

    @contextmanager
    def joint_epoch(self, epoch_number: int) -> Iterator[None]:
        """Return a context manager for one epoch; it does nothing, since no other process runs the epoch too."""
        yield

    def seed_epoch(self, epoch_seed: int) -> None:
        """Seed PyTorch's random generator for one epoch."""
        torch.manual_seed(epoch_seed)

    def take_rows_of_rank(self, batch: Batch) -> tuple[Batch, float]:
        """Return the whole batch, and 1.0 for all of its targets: a single process computes every row.

        Parameters
        ----------
        batch : tuple of two int64 tensors (rows, length)
            The items and the targets; a negative target is not predicted.
        """
        return batch, 1.0

    @contextmanager
    def sum_gradients(self, module: nn.Module) -> Iterator[None]:
        """Return a context manager that leaves the gradients as they are: no other process has a part of them."""
        yield


class ProcessGroup(SingleProcess):
    """Training on several processes; each process holds one such object, which knows the process's rank.

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
            torch.cuda.set_device(local_rank)  # from now on, the device "cuda" means this process's own GPU
        # Messages are sent between CPUs even if there are GPUs: a GPU that waits for a message is busy.
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=MESSAGE_TIMEOUT)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        # The error that ended the current epoch on all ranks at the same batch; None if there is no such error.
        self._shared_error: Exception | None = None
        # False during an epoch, and for good after an epoch that failed on this rank only; else True.
        self._between_epochs = True

    def send_model_to_fit(self, model_description: Mapping[str, Any], train_sequences: Sequences) -> None:
        """Send the workers a description of the model, and the training sequences of which they make batches."""
        arrays = {"items": train_sequences.items, "offsets": train_sequences.offsets}
        if train_sequences.time_numbers is not None:
            arrays["time_numbers"] = train_sequences.time_numbers
        self.send_message(
            "fit", dict(model_description), {name: torch.from_numpy(value) for name, value in arrays.items()}
        )

    def send_start_state(self, make_state: Callable[[], Tensors]) -> None:
        """Send the workers the training state with which they start, as ``make_state`` returns it."""
        self.send_message("state", {}, make_state())

    @contextmanager
    def joint_epoch(self, epoch_number: int) -> Iterator[None]:
        """Start an epoch on all ranks; end this process if the epoch fails on this rank only.

        Raises
        ------
        SystemExit
            If only this rank failed: the ranks are no longer at the same batch, so no other fit is possible. SystemExit
            is not an ``Exception``, so callers that tolerate a failed fit do not go on.
        """
        if self.rank == 0:
            self.send_message("epoch", {"number": epoch_number})
        self._between_epochs = False
        try:
            yield
        except Exception as error:
            if error is not self._shared_error:
                raise SystemExit(f"nextmart: rank {self.rank}: {redact(f'{type(error).__name__}: {error}')}") from error
            # the stored error is dropped, because its traceback would keep the batch's tensors in memory
            self._shared_error, self._between_epochs = None, True
            raise
        self._between_epochs = True

    def seed_epoch(self, epoch_seed: int) -> None:
        """Seed the random generators for one epoch.

        ``shared_generator`` gets the same seed on all ranks. PyTorch's default generator, from which dropout draws,
        gets another seed on each rank.
        """
        self.shared_generator = torch.Generator(device()).manual_seed(epoch_seed)
        rank_seed = np.random.SeedSequence([epoch_seed, self.rank]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(rank_seed))

    def take_rows_of_rank(self, batch: Batch) -> tuple[Batch, float]:
        """Return this rank's rows of a batch, and the fraction of the batch's targets that these rows hold.

        The rows are dealt to the ranks in turn. A rank that is left without a row gets the first row, with fraction 0.
        """
        items, targets = batch
        if self.rank >= len(targets):
            return (items[:1], targets[:1]), 0.0
        rows = slice(self.rank, None, self.size)
        predicted = (targets >= 0).sum(dim=1)
        return (items[rows], targets[rows]), int(predicted[rows].sum()) / int(predicted.sum())

    @contextmanager
    def sum_gradients(self, module: nn.Module) -> Iterator[None]:
        """Replace the gradients that the ``with`` block computes by their sum over all ranks, in one all-reduce.

        If the block failed on any rank, every rank raises an error.
        """
        error: Exception | None = None
        try:
            yield
        except Exception as caught:
            error = caught  # the other ranks wait in the all-reduce, so this rank joins it despite its error
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

    def send_message(self, kind: str, json_content: dict[str, Any], tensors: Tensors | None = None) -> None:
        """Send every worker a message: its kind ("fit", "state", "epoch" or "end"), a JSON object, and tensors."""
        text = torch.frombuffer(bytearray(json.dumps([kind, json_content]).encode()), dtype=torch.uint8)
        message = save({"content": text} | {f"tensors.{name}": value for name, value in (tensors or {}).items()})
        self._broadcast(torch.tensor([len(message)]))
        self._broadcast(torch.frombuffer(bytearray(message), dtype=torch.uint8))

    def receive_message(self) -> tuple[str, dict[str, Any], Tensors]:
        """Wait for rank 0's next message, and return its kind, its JSON object and its tensors (on the CPU)."""
        length = self._broadcast(torch.zeros(1, dtype=torch.int64))
        message = load(self._broadcast(torch.zeros(int(length), dtype=torch.uint8)).numpy().tobytes())
        kind, content = json.loads(message.pop("content").numpy().tobytes())
        return kind, content, {name.removeprefix("tensors."): value for name, value in message.items()}

    def _broadcast(self, tensor: Tensor) -> Tensor:
        with self._exit_if_a_rank_is_lost():
            dist.broadcast(tensor, src=0)
        return tensor

    @contextmanager
    def _exit_if_a_rank_is_lost(self) -> Iterator[None]:
        """End this process if communication in the ``with`` block fails, as it does when another rank has died."""
        try:
            yield
        except RuntimeError as error:
            raise SystemExit(
                f"nextmart: rank {self.rank} has lost another, which may have said why: {error}"
            ) from error

    def end_workers(self) -> None:
        """Tell the workers to end.

        If an epoch failed halfway, nothing is sent to the workers: torchrun ends them once this process has ended.
        """
        if self._between_epochs:
            self.send_message("end", {})
            dist.destroy_process_group()


SINGLE_PROCESS = SingleProcess()

# The process, or the group of processes, that trains each sequence model.
training_processes: SingleProcess = SINGLE_PROCESS
