"""The allowed intervals of numeric hyper-parameters.

With few exceptions, a hyper-parameter has the same interval in all model families that have it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """Interval of numbers; each bound is optional. A number equal to ``above`` or ``below`` lies outside."""

    at_least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf
    at_most: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.at_least <= value and self.above < value < self.below and value <= self.at_most

    def __str__(self) -> str:
        ends = {"at least": self.at_least, "above": self.above, "below": self.below, "at most": self.at_most}
        return " and ".join(f"{word} {end:g}" for word, end in ends.items() if math.isfinite(end))


INTERVALS: Mapping[str, Interval] = {
    **dict.fromkeys(
        ["width", "hidden", "blocks", "heads", "window", "lora_rank", "batch_size", "epochs", "patience", "neighbours",
         "depth", "distance", "weights_per_item", "item_limit"],
        Interval(at_least=1),
    ),
    # for most of these hyper-parameters 0 means no limit, no effect, or a default number
    **dict.fromkeys(
        ["negatives", "sample", "samples", "training_limit", "random_copies", "constant", "shrinkage", "recency",
         "weight_decay", "temperature", "epoch_steps"],
        Interval(at_least=0),
    ),
    **dict.fromkeys(["learning_rate", "initial_std", "l2"], Interval(above=0)),
    **dict.fromkeys(["dropout", "mask_probability", "averaging"], Interval(at_least=0, below=1)),
}  # fmt: skip
