"""Several continuations of each prompt, computed as a tree of tokens: what continuations share is computed once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def left_padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows of tokens as one tensor; shorter rows are padded at the left.

    Returns
    -------
    tokens : int64 tensor (rows, longest row)
    is_real : bool tensor (rows, longest row)
        False for padding.
    positions : int64 tensor (rows, longest row)
        Each token's position in its row, counted without padding.
    """
    longest = max(len(row) for row in rows)
    tokens = np.zeros((len(rows), longest), np.int64)
    is_real = np.zeros((len(rows), longest), np.bool_)
    for index, row in enumerate(rows):
        tokens[index, longest - len(row) :] = row
        is_real[index, longest - len(row) :] = True
    positions = (is_real.cumsum(axis=1) - 1).clip(min=0)
    arrays = (tokens, is_real, positions)
    return tuple(torch.from_numpy(array).to(device) for array in arrays)  # type: ignore[return-value]


def last_positions(count: int, device: torch.device, ignored: int = 0) -> Tensor:
    """Return the positions of the last ``count`` tokens before the last ``ignored`` ones, as negative indices.

    Meant for the argument ``logits_to_keep`` of transformers: for a mere number transformers takes a slice, for which
    torch copies the output layer's weights for each row.
    """
    return torch.arange(-count - ignored, -ignored, device=device)


class TokenTrees:
    """Trees of tokens that continue prompts: one tree for each prompt, grown level by level.

    The attention keys and values of a prompt are computed once, and so are those of tokens that several continuations
    share. Each node attends to its prompt, its ancestors and itself. A mask says which tokens these are, so that the
    cache of keys and values only grows at its end, and is never copied. Works for models with full attention.

    Parameters
    ----------
    model
        A causal language model of transformers.
    prompts : sequences of tokens
        At least one token each.

    Attributes
    ----------
    logits : float32 tensor (prompts, nodes of the last level, vocabulary)
        Logits of the token after each node. Before the first level, a prompt's only node is its last token.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        self._model = model
        tokens, is_real, positions = left_padded(prompts, model.device)
        output = model(
            input_ids=tokens,
            attention_mask=is_real.long(),
            position_ids=positions,
            use_cache=True,
            logits_to_keep=last_positions(1, model.device),
        )
        self._cache, self.logits = output.past_key_values, output.logits.float()
        self._attended = is_real[:, None, :]  # bool tensor (prompts, nodes of the last level, all tokens so far)
        self._next_position = positions[:, -1:] + 1  # int64 tensor (prompts, 1): position of the next level's tokens

    def grow(self, parents: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]]) -> None:
        """Add a level of nodes to each tree.

        Parameters
        ----------
        parents : for each prompt, a list of int
            Each new node's parent: the index of a node in the last level. At the first level every parent is 0.
        tokens : for each prompt, a list of int
            Each new node's token. Lists may have different lengths: ``logits`` beyond the end of a list mean nothing.
        """
        width = max(len(row) for row in tokens)
        filled = [[[*row, *[0] * (width - len(row))] for row in rows] for rows in (parents, tokens)]
        parent, token = (torch.tensor(rows, device=self._model.device) for rows in filled)
        ancestors = self._attended.gather(1, parent[:, :, None].expand(-1, -1, self._attended.shape[2]))
        itself = torch.eye(width, dtype=torch.bool, device=ancestors.device).expand(len(token), -1, -1)
        self._attended = torch.cat([ancestors, itself], dim=2)
        output = self._model(
            input_ids=token,
            attention_mask=self._attended[:, None],
            position_ids=self._next_position.expand(-1, width),
            past_key_values=self._cache,
            use_cache=True,
        )
        self.logits = output.logits.float()
        self._next_position = self._next_position + 1


def sample_continuations(
    model: Any, prompts: Sequence[Sequence[int]], end_token: int, temperature: float, max_tokens: int, draws: Tensor
) -> list[list[list[int]]]:
    """Draw random continuations of each prompt.

    Parameters
    ----------
    model
        A causal language model of transformers.
    prompts : sequences of tokens
        At least one token each.
    end_token : int
        The token that ends a continuation; it is not part of the continuation.
    temperature : float
        The logits are divided by it; 0 always takes the likeliest token.
    max_tokens : int
        Tokens of a continuation, at most.
    draws : float32 tensor (prompts, samples, max_tokens)
        Random numbers, uniform in [0, 1). They and the model's distributions determine the continuations. In another
        batch of prompts the distributions are rounded differently, which in bfloat16 may change a continuation, in
        float32 hardly ever.

    Returns
    -------
    for each prompt, for each of its samples, a list of tokens
    """
    trees = TokenTrees(model, prompts)
    samples = draws.shape[1]
    continuations: list[list[list[int]]] = [[[] for _ in range(samples)] for _ in prompts]
    # For each prompt: unfinished sample -> the node of the last level at which the sample stands.
    node_of: list[dict[int, int]] = [dict.fromkeys(range(samples), 0) for _ in prompts]
    for step in range(max_tokens):
        parents: list[list[int]] = []
        tokens: list[list[int]] = []
        drawn = _draw_tokens(trees.logits, node_of, temperature, draws[:, :, step])
        for row, nodes in enumerate(node_of):
            # Samples with the same tokens so far share a node: (parent, token) -> new node.
            new_nodes: dict[tuple[int, int], int] = {}
            for sample, token in zip(list(nodes), drawn[row], strict=True):
                if token == end_token:
                    del nodes[sample]
                else:
                    continuations[row][sample].append(token)
                    nodes[sample] = new_nodes.setdefault((nodes[sample], token), len(new_nodes))
            parents.append([parent for parent, _ in new_nodes])
            tokens.append([token for _, token in new_nodes])
        if step + 1 == max_tokens or not any(tokens):
            break
        trees.grow(parents, tokens)
    return continuations


def _draw_tokens(logits: Tensor, node_of: list[dict[int, int]], temperature: float, draws: Tensor) -> list[list[int]]:
    """Return the next token of every unfinished sample, in the order of ``node_of``."""
    if temperature == 0:
        likeliest = logits.argmax(dim=2).tolist()
        return [[likeliest[row][node] for node in nodes.values()] for row, nodes in enumerate(node_of)]
    drawn = []
    for row, nodes in enumerate(node_of):
        # Inverse transform sampling, unlike torch.multinomial, depends on the batch only by the rounding of the logits.
        cumulative = (logits[row] / temperature).softmax(dim=1).cumsum(dim=1)
        cumulative = cumulative[list(nodes.values())]
        thresholds = draws[row, list(nodes)].to(cumulative.device)[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, thresholds, right=True).clamp(max=logits.shape[2] - 1)
        drawn.append(tokens[:, 0].tolist())
    return drawn
