"""The device that models run on, and its random numbers."""

from contextlib import AbstractContextManager

import torch


def device() -> torch.device:
    """Return the device that models run on: CUDA when present."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fork_random() -> AbstractContextManager[None]:
    """Leave PyTorch's random numbers behind as they were; of several GPUs, the one in use alone is touched."""
    return torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else [])
