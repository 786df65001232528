"""Sort keys: a score and an item index packed into one int64, so that the largest keys belong to the best items.

A larger score gives a larger key; of two equal scores, the lower item index gives the larger key.
"""

import torch
from torch import Tensor

MAX_ITEM_INDEX = 0x7FFFFFFF  # the largest item index, an int32, which fits into the lower half of a key


def encode_sort_keys(scores: Tensor, item_indices: Tensor) -> Tensor:
    """Pack each score and its item index into one int64 key, which orders by score, and equal scores by index."""
    bits = (scores + 0.0).view(torch.int32)  # adding 0.0 turns -0.0 into 0.0: equal scores need equal bits
    ordered = bits ^ ((bits >> 31) & MAX_ITEM_INDEX)
    return (ordered.long() << 32) | (MAX_ITEM_INDEX - item_indices)


def decode_sort_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Unpack int64 keys of :func:`encode_sort_keys` into float32 scores and int32 item indices."""
    ordered = (keys >> 32).int()
    scores = (ordered ^ ((ordered >> 31) & MAX_ITEM_INDEX)).view(torch.float32)
    return scores, (MAX_ITEM_INDEX - (keys & 0xFFFFFFFF)).int()


def matrix_of_lowest_sort_key(row_count: int, column_count: int, device: torch.device) -> Tensor:
    """Return an int64 matrix (row_count, column_count) filled with the lowest key, of score -inf and index -1."""
    lowest = encode_sort_keys(torch.tensor(-torch.inf), torch.tensor(-1))
    return torch.full((row_count, column_count), int(lowest), dtype=torch.int64, device=device)
