"""Trains on several processes: the first process runs the command, the others help to fit its models."""

from collections.abc import Callable
from typing import Any

import torch.distributed as dist

from jobs.core.sequences import Sequences
from jobs.errors import redact
from jobs.models import registry
from jobs.progress import say
from jobs.training import loop, processes


def run_with_workers(command: Callable[[], None]) -> None:
    """Join the processes that ``torchrun`` started.

    The process with rank 0 runs ``command``; the others help to fit its models until the command has ended.
    """
    processes.training_processes = group = processes.ProcessGroup()
    if group.rank:
        _fit_as_worker(group)
        return
    try:
        command()
    finally:
        group.end_workers()


def _fit_as_worker(process_group: processes.ProcessGroup) -> None:
    """Help to fit each model that the process with rank 0 fits, until that process ends the process group."""
    while True:
        message, facts, tensors = process_group.receive_message()
        if message == "fit":
            seed = facts["seed"]
            model: Any = registry.make_model(facts["family"], facts["parameters"])
            arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
            batches = model.prepare_worker_training(Sequences(**arrays), facts["items"])
            optimizer = loop.make_optimizer(model.network, model.parameters)
        elif message == "state":
            loop.restore_training_state(model.network, optimizer, tensors)
        elif message == "epoch":
            try:
                with process_group.joint_epoch(facts["number"]):
                    loop.run_epoch(
                        model.network,
                        optimizer,
                        batches,
                        model.loss_share_of_this_process,
                        seed,
                        facts["number"],
                        process_group,
                    )
            except Exception as error:  # a worker ignores the error: rank 0 gets the same error, and decides what to do
                say(f"rank {process_group.rank}: {redact(f'{type(error).__name__}: {error}')}")
        else:
            dist.destroy_process_group()
            return
