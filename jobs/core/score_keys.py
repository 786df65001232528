"""Sort keys: a score and an item index packed into one int64, so that the largest keys belong to the best items.

A larger score gives a larger key; of two equal scores, the lower item index gives the larger key.
"""

import torch
from torch import Tensor

MAX_INDEX = 0x7FFFFFFF  # the largest item index, an int32, which fits into the lower half of a key


def encode_keys(scores: Tensor, indices: Tensor) -> Tensor:
    """Pack a score and an item index into one int64 key; the larger score, then the lower index, has the larger key."""
    bits = (scores + 0.0).view(torch.int32)  # adding 0.0 turns -0.0 into 0.0: equal scores need equal bits
    ordered = bits ^ ((bits >> 31) & MAX_INDEX)
    return (ordered.long() << 32) | (MAX_INDEX - indices)


def decode_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Unpack int64 keys of :func:`encode_keys` into float32 scores and int32 item indices."""
    ordered = (keys >> 32).int()
    scores = (ordered ^ ((ordered >> 31) & MAX_INDEX)).view(torch.float32)
    return scores, (MAX_INDEX - (keys & 0xFFFFFFFF)).int()


def empty_keys(rows: int, columns: int, device: torch.device) -> Tensor:
    """Return an int64 matrix (rows, columns) filled with the lowest key: that of score -inf and item index -1."""
    lowest = encode_keys(torch.tensor(-torch.inf), torch.tensor(-1))
    return torch.full((rows, columns), int(lowest), dtype=torch.int64, device=device)
