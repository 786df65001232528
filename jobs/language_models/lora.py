"""LoRA: low-rank additions to a language model's attention weights; fine-tuning changes only these additions.

LoRA is described by Hu et al. 2021 (arXiv 2106.09685).
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def with_lora_additions(model: Any, rank: int) -> Any:
    """Return a causal language model with untrained LoRA additions to its attention queries and values.

    Parameters
    ----------
    model
        A causal language model of transformers.
    rank : int
        The rank of the matrix that is added to a weight matrix.
    """
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(), warnings.catch_warnings():
        # This hides the warning that the library peft uses a deprecated feature of the library transformers.
        warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)
        return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, task_type="CAUSAL_LM"))


def lora_additions(model: Any) -> dict[str, nn.Parameter]:
    """Return a language model's LoRA additions, its only trainable weights, by their names in the model."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def reset_lora_additions(additions: Mapping[str, nn.Parameter], seed: int) -> None:
    """Reset each LoRA addition to zero: of the addition's two factors, draw one at random and set the other to 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in additions.items():
            drawn = torch.empty(value.shape)
            nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
            value.copy_(drawn if "lora_A" in name else torch.zeros_like(drawn))


class FineTuningState(nn.Module):
    """The state that a fine-tuning checkpoint saves: the LoRA additions and the number of epoch parts begun so far."""

    parts: Tensor

    def __init__(self, additions: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(additions.values())
        self.register_buffer("parts", torch.zeros((), dtype=torch.int64))

    def begin_next_part(self) -> int:
        """Begin the next part of an epoch, and return its number, counted from 0 over all epochs."""
        self.parts += 1
        return int(self.parts) - 1
