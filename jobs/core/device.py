"""The PyTorch device that models run on, and a context manager that restores PyTorch's random state."""

from contextlib import AbstractContextManager

import torch


def device() -> torch.device:
    """Return the PyTorch device that models run on: the GPU if CUDA is available, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def preserve_random_state() -> AbstractContextManager[None]:
    """Return a context manager that, at its end, restores PyTorch's random state of the CPU and of the current GPU."""
    return torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else [])
