"""Training on several processes: the first process runs the command, the others take part in its fits."""

from collections.abc import Callable
from typing import Any

import torch.distributed as dist

from jobs.core.sequences import Sequences
from jobs.errors import redact
from jobs.models import registry
from jobs.progress import say
from jobs.training import loop, team


def run(command: Callable[[], None]) -> None:
    """Join the processes that ``torchrun`` started.

    Rank 0 runs ``command``; the other ranks take part in its fits until the command has ended.
    """
    team.current = group = team.ProcessGroup()
    if group.rank:
        _take_part_in_fits(group)
        return
    try:
        command()
    finally:
        group.end_workers()


def _take_part_in_fits(group: team.ProcessGroup) -> None:
    """Take part in every fit of rank 0, until rank 0 ends the group."""
    while True:
        message, facts, tensors = group.receive()
        if message == "fit":
            seed = facts["seed"]
            model: Any = registry.make(facts["family"], facts["parameters"])
            batches = model.prepare_worker(
                Sequences(tensors["items"].numpy(), tensors["offsets"].numpy()), facts["items"]
            )
            optimizer = loop.make_optimizer(model.network, model.parameters)
        elif message == "state":
            loop.restore_state(model.network, optimizer, tensors)
        elif message == "epoch":
            try:
                with group.epoch(facts["number"]):
                    loop.run_epoch(model.network, optimizer, batches, model.shared_loss, seed, facts["number"], group)
            except Exception as error:  # rank 0 gets the same error, and decides what to do
                say(f"rank {group.rank}: {redact(f'{type(error).__name__}: {error}')}")
        else:
            dist.destroy_process_group()
            return
