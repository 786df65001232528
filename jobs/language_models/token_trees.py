"""Several continuations of a prompt, computed as a tree of tokens, so that a shared beginning is computed once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def pad_left(token_lists: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return lists of tokens as the rows of one tensor; shorter rows are padded at the left.

    Returns
    -------
    tokens : int64 tensor (rows, longest row)
    is_real : bool tensor (rows, longest row)
        False for padding.
    positions : int64 tensor (rows, longest row)
        Each token's position in its row, counted without padding.
    """
    longest = max(len(row) for row in token_lists)
    tokens = np.zeros((len(token_lists), longest), np.int64)
    is_real = np.zeros((len(token_lists), longest), np.bool_)
    for index, row in enumerate(token_lists):
        tokens[index, longest - len(row) :] = row
        is_real[index, longest - len(row) :] = True
    positions = (is_real.cumsum(axis=1) - 1).clip(min=0)
    arrays = (tokens, is_real, positions)
    return tuple(torch.from_numpy(array).to(device) for array in arrays)  # type: ignore[return-value]


def indices_of_last_tokens(count: int, device: torch.device, skipped_count: int = 0) -> Tensor:
    """Return the negative indices of a row's last ``count`` tokens, leaving out the very last ``skipped_count`` tokens.

    The caller passes the result to a model of transformers as ``logits_to_keep``. That argument may also be a number of
    tokens. But then transformers slices the hidden states, and for a slice torch copies the output layer's weights for
    each row.
    """
    return torch.arange(-count - skipped_count, -skipped_count, device=device)


class TokenTrees:
    """Trees of tokens that continue prompts: one tree for each prompt, grown level by level.

    The attention keys and values of a prompt are computed once, and so are those of tokens that several continuations
    share. Each node attends to its prompt, its ancestors and itself. An attention mask selects these tokens, so that
    the cache of keys and values only grows at its end, and is never copied. The model must have full attention.

    Parameters
    ----------
    model
        A causal language model of transformers.
    prompts : sequences of tokens
        At least one token each.

    Attributes
    ----------
    logits : float32 tensor (prompts, nodes of the last level, vocabulary)
        Logits of the token after each node. Before a level is added, a prompt's only node is its last token.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        self._model = model
        tokens, is_real, positions = pad_left(prompts, model.device)
        output = model(
            input_ids=tokens,
            attention_mask=is_real.long(),
            position_ids=positions,
            use_cache=True,
            logits_to_keep=indices_of_last_tokens(1, model.device),
        )
        self._cache, self.logits = output.past_key_values, output.logits.float()
        # The attention mask of the last level: bool tensor (prompts, nodes of the last level, all tokens so far).
        self._attended = is_real[:, None, :]
        # The position of the next level's tokens, counted without padding: int64 tensor (prompts, 1).
        self._next_position = positions[:, -1:] + 1

    def add_level(self, parents: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]]) -> None:
        """Add a level of nodes to each tree.

        Parameters
        ----------
        parents : for each prompt, a list of int
            Each new node's parent: the index of a node in the last level. At the first level every parent is 0.
        tokens : for each prompt, a list of int
            Each new node's token. If a prompt's list is shorter than the longest, its last ``logits`` are meaningless.
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
    model: Any,
    prompts: Sequence[Sequence[int]],
    end_token: int,
    temperature: float,
    max_tokens: int,
    uniform_random_numbers: Tensor,
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
        The divisor of the logits; at 0 the likeliest token is always taken.
    max_tokens : int
        The largest number of tokens in a continuation.
    uniform_random_numbers : float32 tensor (prompts, samples, max_tokens)
        Random numbers, uniform in [0, 1), each of which decides one token. A continuation depends only on its prompt
        and its random numbers, except that the batch of prompts changes the rounding of the logits, which may change
        a continuation in bfloat16, and hardly ever in float32.

    Returns
    -------
    for each prompt, for each of its samples, a list of tokens
    """
    trees = TokenTrees(model, prompts)
    samples = uniform_random_numbers.shape[1]
    continuations: list[list[list[int]]] = [[[] for _ in range(samples)] for _ in prompts]
    # For each prompt, a dictionary of its unfinished samples: number of the sample -> node of its last token, as an
    # index in the last level of the prompt's tree.
    nodes_of_samples: list[dict[int, int]] = [dict.fromkeys(range(samples), 0) for _ in prompts]
    for step in range(max_tokens):
        parents: list[list[int]] = []
        tokens: list[list[int]] = []
        drawn = _draw_tokens(trees.logits, nodes_of_samples, temperature, uniform_random_numbers[:, :, step])
        for row, nodes in enumerate(nodes_of_samples):
            # Samples with the same tokens so far share a node: (parent node, token) -> index of the new node.
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
        trees.add_level(parents, tokens)
    return continuations


def _draw_tokens(
    logits: Tensor, nodes_of_samples: list[dict[int, int]], temperature: float, uniform_random_numbers: Tensor
) -> list[list[int]]:
    """Draw the next token of each unfinished sample; return a list for each prompt, in the order of its samples."""
    if temperature == 0:
        likeliest = logits.argmax(dim=2).tolist()
        return [[likeliest[row][node] for node in nodes.values()] for row, nodes in enumerate(nodes_of_samples)]
    drawn = []
    for row, nodes in enumerate(nodes_of_samples):
        # With torch.multinomial the tokens would depend on the batch of prompts. With inverse transform sampling they
        # depend on the batch only through the rounding of the logits.
        cumulative = (logits[row] / temperature).softmax(dim=1).cumsum(dim=1)
        cumulative = cumulative[list(nodes.values())]
        thresholds = uniform_random_numbers[row, list(nodes)].to(cumulative.device)[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, thresholds, right=True).clamp(max=logits.shape[2] - 1)
        drawn.append(tokens[:, 0].tolist())
    return drawn
