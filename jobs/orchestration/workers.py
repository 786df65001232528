"""Training on several processes: the first one runs the command, the others take part in its fits."""

from collections.abc import Callable
from typing import Any

import torch.distributed as dist

from jobs.core.sequences import Sequences
from jobs.errors import redact
from jobs.models import registry
from jobs.progress import say
from jobs.training import loop, team


def run(lead: Callable[[], None]) -> None:
    """Join the processes that ``torchrun`` started: on rank 0 run ``lead``, elsewhere its fits, until it has ended."""
    team.current = joined = team.ProcessGroup()
    if joined.rank:
        _follow(joined)
        return
    try:
        lead()
    finally:
        joined.end_workers()


def _follow(group: team.ProcessGroup) -> None:
    """Take part in every fit of rank 0."""
    while True:
        what, facts, tensors = group.receive()
        if what == "fit":
            seed = facts["seed"]
            model: Any = registry.make(facts["family"], facts["parameters"])
            batches = model.prepare_worker(
                Sequences(tensors["items"].numpy(), tensors["offsets"].numpy()), facts["items"]
            )
            optimizer = loop.make_optimizer(model.network, model.parameters)
        elif what == "state":
            loop.restore_state(model.network, optimizer, tensors)
        elif what == "epoch":
            try:
                with group.epoch(facts["number"]):
                    loop.run_epoch(model.network, optimizer, batches, model.shared_loss, seed, facts["number"], group)
            except Exception as error:  # rank 0 has it too, and decides
                say(f"rank {group.rank}: {redact(f'{type(error).__name__}: {error}')}")
        else:
            dist.destroy_process_group()
            return
