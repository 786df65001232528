"""Data-parallel training on the processes that ``torchrun`` started: one fit, each batch in shares.

Rank 0 runs the command. It alone opens the warehouse, validates, keeps checkpoints, prints and decides. The others, its
workers, wait for what it sends: a fit, the state to start from, an epoch's number, or the end. In an epoch all ranks
do the same, each on its share of a batch, and add up their gradients before each step: so the update is that of one
process up to rounding, dropout aside, and all ranks keep the same weights without sending them again.
What is sent is safetensors and JSON; nothing is unpickled.
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
Tensors = dict[str, Tensor]

# Workers wait in a collective while rank 0 does other things: fits other families, measures, waits for a service, which
# may take days. A rank that ends, however, is noticed at once: its connections close, and torchrun ends the others.
TIMEOUT = timedelta(days=30)


class SingleProcess:
    """One process without workers: what a :class:`ProcessGroup` does, for a team of one."""

    generator: torch.Generator | None = None  # of what all ranks must draw alike; None: PyTorch's own

    def announce(self, facts: Mapping[str, Any], rows: Sequences) -> None:
        """Tell the workers what will be fitted: plain facts that name the model, and the rows to fit it on."""

    def start_from(self, state: Callable[[], Tensors]) -> None:
        """Give the workers the state to start from: :func:`jobs.training.loop.state_of`."""

    @contextmanager
    def epoch(self, number: int) -> Iterator[None]:
        """Have the workers run an epoch, while the block does it here."""
        yield

    def seed(self, number: int) -> None:
        """Start an epoch's random numbers."""
        torch.manual_seed(number)

    def share(self, batch: Batch) -> tuple[Batch, float]:
        """Return this rank's rows of a batch, and which share of the batch's targets they hold.

        Parameters
        ----------
        batch : int64 tensors (rows, length), (rows, length)
            Items and targets; a target is negative where nothing is asked.
        """
        return batch, 1.0

    @contextmanager
    def update(self, module: nn.Module) -> Iterator[None]:
        """Make the gradients that the block leaves in ``module`` the sum over all ranks."""
        yield


class ProcessGroup(SingleProcess):
    """One rank of several."""

    def __init__(self) -> None:
        if torch.cuda.is_available():
            place, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
            if place >= devices:
                raise UsageError(f"more processes were started than there are GPUs, {devices}: --nproc-per-node gpu")
            torch.cuda.set_device(place)  # from now on "cuda" means this one
        # messages go over the CPU in any case: on a GPU a rank that waits would keep it busy
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=TIMEOUT)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._agreed: Exception | None = None  # the error with which all ranks left an epoch at the same batch
        self._in_step = True  # whether all ranks are between epochs

    def announce(self, facts: Mapping[str, Any], rows: Sequences) -> None:
        """Send what the workers need to make the same network and the same batches."""
        arrays = {"items": rows.items, "offsets": rows.offsets}
        self.send("fit", dict(facts), {name: torch.from_numpy(value) for name, value in arrays.items()})

    def start_from(self, state: Callable[[], Tensors]) -> None:
        """Send the state."""
        self.send("state", {}, state())

    @contextmanager
    def epoch(self, number: int) -> Iterator[None]:
        """Begin an epoch on all ranks; end the process if it fails here alone, for then the ranks are out of step.

        Raises
        ------
        SystemExit
            Not an error that a fit may have: no other fit is possible, and no worker can be told so.
        """
        if self.rank == 0:
            self.send("epoch", {"number": number})
        self._in_step = False
        try:
            yield
        except Exception as error:
            if error is not self._agreed:
                raise SystemExit(f"nextmart: rank {self.rank}: {redact(f'{type(error).__name__}: {error}')}") from error
            self._agreed, self._in_step = None, True  # an error kept would keep its batch's tensors
            raise
        self._in_step = True

    def seed(self, number: int) -> None:
        """Start what all ranks draw alike as one process would, and the rest, which is dropout, by rank."""
        self.generator = torch.Generator(device()).manual_seed(number)
        own = np.random.SeedSequence([number, self.rank]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(own))

    def share(self, batch: Batch) -> tuple[Batch, float]:
        """Take every size-th row; a rank for which there is none takes part with a row that counts nothing."""
        items, targets = batch
        if self.rank >= len(targets):
            return (items[:1], targets[:1]), 0.0
        mine = slice(self.rank, None, self.size)
        asked = (targets >= 0).sum(dim=1)
        return (items[mine], targets[mine]), int(asked[mine].sum()) / int(asked.sum())

    @contextmanager
    def update(self, module: nn.Module) -> Iterator[None]:
        """Add up gradients in one all-reduce, which also carries whether a rank failed: then all do."""
        error: Exception | None = None
        try:
            yield
        except Exception as caught:  # the others wait for this rank, whatever happened here
            error = caught
        weights = list(module.parameters())
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        failed = gradients[0].new_tensor([error is not None])
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), failed])
        with self._noticing_a_loss():
            dist.all_reduce(flat)
        if flat[-1]:
            self._agreed = error or NextmartError("another rank failed; its message says why")
            raise self._agreed
        for weight, total in zip(weights, torch.split(flat, [*map(Tensor.numel, weights), 1]), strict=False):
            weight.grad = total.view_as(weight)

    def send(self, what: str, facts: dict[str, Any], tensors: Tensors | None = None) -> None:
        """Give every worker a message."""
        text = torch.frombuffer(bytearray(json.dumps([what, facts]).encode()), dtype=torch.uint8)
        message = save({"facts": text} | {f"tensors.{name}": value for name, value in (tensors or {}).items()})
        self._broadcast(torch.tensor([len(message)]))
        self._broadcast(torch.frombuffer(bytearray(message), dtype=torch.uint8))

    def receive(self) -> tuple[str, dict[str, Any], Tensors]:
        """Wait for rank 0's next message: what it is about, facts, and tensors on the CPU."""
        length = self._broadcast(torch.zeros(1, dtype=torch.int64))
        message = load(self._broadcast(torch.zeros(int(length), dtype=torch.uint8)).numpy().tobytes())
        what, facts = json.loads(message.pop("facts").numpy().tobytes())
        return what, facts, {name.removeprefix("tensors."): value for name, value in message.items()}

    def _broadcast(self, tensor: Tensor) -> Tensor:
        with self._noticing_a_loss():
            dist.broadcast(tensor, src=0)
        return tensor

    @contextmanager
    def _noticing_a_loss(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise SystemExit(
                f"nextmart: rank {self.rank} has lost another, which may have said why: {error}"
            ) from error

    def end(self) -> None:
        """Let the workers end. Out of step they can't be told: torchrun ends them when this process has failed."""
        if self._in_step:
            self.send("end", {})
            dist.destroy_process_group()


SINGLE_PROCESS = SingleProcess()

current: SingleProcess = SINGLE_PROCESS  # with whom this process fits sequence models
