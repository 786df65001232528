"""LoRA: low-rank additions to the attention weights of a language model, the only weights that fine-tuning changes.

Hu et al. 2021 (arXiv 2106.09685).
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def with_additions(model: Any, rank: int) -> Any:
    """Return a causal language model with untrained additions to its queries and values.

    Parameters
    ----------
    model
        Of transformers.
    rank : int
        Rank of each addition.
    """
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft uses a part of transformers that is deprecated.
        warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)
        return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, task_type="CAUSAL_LM"))


def additions_of(model: Any) -> dict[str, nn.Parameter]:
    """Return the additions of a model by their names in it."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def reset_additions(additions: Mapping[str, nn.Parameter], seed: int) -> None:
    """Draw one factor of each addition at random and set the other to zero, so that the model is the original one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in additions.items():
            drawn = torch.empty(value.shape)
            nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
            value.copy_(drawn if "lora_A" in name else torch.zeros_like(drawn))


class TrainedPart(nn.Module):
    """The additions and the number of parts of epochs that they were trained on: all that a checkpoint has to hold."""

    parts: Tensor

    def __init__(self, additions: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(additions.values())
        self.register_buffer("parts", torch.zeros((), dtype=torch.int64))

    def next_part(self) -> int:
        """Return the number of the next part, counted from 0 over all epochs."""
        self.parts += 1
        return int(self.parts) - 1
