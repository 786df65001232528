"""Sort keys: a score and an item index in one int64, so that the largest keys are the best items.

A key's order is that of its score, and of equal scores the lower index first.
"""

import torch
from torch import Tensor

MAX_INDEX = 0x7FFFFFFF  # the largest int32


def encode_keys(scores: Tensor, indices: Tensor) -> Tensor:
    """Pack each score and item index into one int64 key: a larger score, then a lower index, gives a larger key."""
    bits = (scores + 0.0).view(torch.int32)  # adding 0.0 turns -0.0, which has other bits, into 0.0
    ordered = bits ^ ((bits >> 31) & MAX_INDEX)
    return (ordered.long() << 32) | (MAX_INDEX - indices)


def decode_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Unpack int64 keys of :func:`encode_keys` into float32 scores and int32 item indices."""
    ordered = (keys >> 32).int()
    scores = (ordered ^ ((ordered >> 31) & MAX_INDEX)).view(torch.float32)
    return scores, (MAX_INDEX - (keys & 0xFFFFFFFF)).int()


def empty_keys(rows: int, columns: int, device: torch.device) -> Tensor:
    """Return an int64 matrix of keys lower than every item's: score -inf, decoded index -1."""
    lowest = encode_keys(torch.tensor(-torch.inf), torch.tensor(-1))
    return torch.full((rows, columns), int(lowest), dtype=torch.int64, device=device)
