"""Several continuations of each of some prompts, computed as trees: what they share is computed once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Pad at the left.

    Returns
    -------
    int64 (rows, longest), bool (rows, longest), int64 (rows, longest)
        Tokens, which of them are real, and their positions in their row.
    """
    longest = max(len(row) for row in rows)
    tokens = np.zeros((len(rows), longest), np.int64)
    real = np.zeros((len(rows), longest), np.bool_)
    for place, row in enumerate(rows):
        tokens[place, longest - len(row) :] = row
        real[place, longest - len(row) :] = True
    positions = (real.cumsum(axis=1) - 1).clip(min=0)
    return tuple(torch.from_numpy(part).to(device) for part in (tokens, real, positions))  # type: ignore[return-value]


def last_places(count: int, device: torch.device, before: int = 0) -> Tensor:
    """Return the places of the last ``count`` tokens but ``before``, from the end.

    For ``logits_to_keep``: by a mere count transformers takes a slice, and torch then copies the head for each row.
    """
    return torch.arange(-count - before, -before, device=device)


class TokenTrees:
    """Trees of tokens that grow out of prompts, one tree a prompt, level by level.

    A prompt's keys and values are computed once, and so are those of a beginning that several continuations have in
    common. Every node of a level sees its prompt, its own ancestors and itself; which these are is held by a mask, so
    that the cache only ever grows at its end and is never copied for a continuation. For models with full attention.

    Parameters
    ----------
    model
        A causal language model of transformers.
    prompts : sequences of tokens
        At least one token each.

    Attributes
    ----------
    logits : float32 tensor (prompts, nodes of the last level, vocabulary)
        At first one node a prompt: its end.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        self._model = model
        tokens, real, positions = padded(prompts, model.device)
        answer = model(
            input_ids=tokens,
            attention_mask=real.long(),
            position_ids=positions,
            use_cache=True,
            logits_to_keep=last_places(1, model.device),
        )
        self._cache, self.logits = answer.past_key_values, answer.logits.float()
        self._seen = real[:, None, :]  # (prompts, nodes of the last level, everything so far)
        self._position = positions[:, -1:] + 1  # of the next level

    def grow(self, parents: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]]) -> None:
        """Add a level.

        Parameters
        ----------
        parents : a list for each prompt
            Places of nodes of the last level; the first level's one parent is 0.
        tokens : parallel to parents
            What is said behind them. Lists may be of unequal lengths; nodes behind a list's end mean nothing.
        """
        width = max(len(row) for row in tokens)
        filled = [[[*row, *[0] * (width - len(row))] for row in rows] for rows in (parents, tokens)]
        parent, token = (torch.tensor(part, device=self._model.device) for part in filled)
        above = self._seen.gather(1, parent[:, :, None].expand(-1, -1, self._seen.shape[2]))
        itself = torch.eye(width, dtype=torch.bool, device=above.device).expand(len(token), -1, -1)
        self._seen = torch.cat([above, itself], dim=2)
        answer = self._model(
            input_ids=token,
            attention_mask=self._seen[:, None],
            position_ids=self._position.expand(-1, width),
            past_key_values=self._cache,
            use_cache=True,
        )
        self.logits = answer.logits.float()
        self._position = self._position + 1


def sample(
    model: Any, prompts: Sequence[Sequence[int]], end: int, temperature: float, longest: int, draws: Tensor
) -> list[list[list[int]]]:
    """Draw continuations of each prompt.

    Parameters
    ----------
    end : int
        The token that ends a continuation; not part of it.
    temperature : float
        The logits are divided by it; 0 takes the likeliest token.
    longest : int
        Tokens of a continuation, at most.
    draws : float32 tensor (prompts, samples, longest)
        Uniform in [0, 1); they and the model's distributions decide what is drawn. These are rounded otherwise in
        another batch, which in bfloat16 may change what is drawn, in float32 all but never.

    Returns
    -------
    for each prompt, for each of its samples, tokens
    """
    trees = TokenTrees(model, prompts)
    samples = draws.shape[1]
    said: list[list[list[int]]] = [[[] for _ in range(samples)] for _ in prompts]
    node: list[dict[int, int]] = [dict.fromkeys(range(samples), 0) for _ in prompts]  # of those not ended
    for step in range(longest):
        # samples that have said the same so far stand at one node
        parents: list[list[int]] = []
        tokens: list[list[int]] = []
        chosen = _choose(trees.logits, node, temperature, draws[:, :, step])
        for row, places in enumerate(node):
            nodes: dict[tuple[int, int], int] = {}
            for place, token in zip(list(places), chosen[row], strict=True):
                if token == end:
                    del places[place]
                else:
                    said[row][place].append(token)
                    places[place] = nodes.setdefault((places[place], token), len(nodes))
            parents.append([parent for parent, _ in nodes])
            tokens.append([token for _, token in nodes])
        if step + 1 == longest or not any(tokens):
            break
        trees.grow(parents, tokens)
    return said


def _choose(logits: Tensor, node: list[dict[int, int]], temperature: float, draws: Tensor) -> list[list[int]]:
    """Choose the next token of every sample that has not ended."""
    if temperature == 0:
        likeliest = logits.argmax(dim=2).tolist()
        return [[likeliest[row][place] for place in places.values()] for row, places in enumerate(node)]
    chosen = []
    for row, places in enumerate(node):
        # the distribution's inverse at the draw, so that the batch and its order matter by the logits' rounding alone:
        # not in float32, all but for ties; sometimes in bfloat16
        heaps = (logits[row] / temperature).softmax(dim=1).cumsum(dim=1)
        heaps = heaps[list(places.values())]
        wanted = draws[row, list(places)].to(heaps.device)[:, None] * heaps[:, -1:]
        chosen.append(torch.searchsorted(heaps, wanted, right=True).clamp(max=logits.shape[2] - 1)[:, 0].tolist())
    return chosen
