"""Beam search that finds the likeliest answers in a fixed set, over a trie (prefix tree) of the answers' tokens."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from jobs.core.arrays import Longs
from jobs.language_models.token_trees import TokenTrees


class Trie:
    """A prefix tree of tokenized answers; each path ends with the end token, so no answer is a prefix of another.

    Parameters
    ----------
    tokenized_answers : sequences of tokens
        Each answer ends with the end token, which occurs nowhere else. Of equal answers only the first is kept.

    Attributes
    ----------
    tokens, targets : lists of int64 arrays
        For each node, the tokens that may follow, and the node that each token leads to. The target of an end token is
        ``-1 - position`` instead, where ``position`` is the index of the finished answer in ``tokenized_answers``.
    """

    def __init__(self, tokenized_answers: Sequence[Sequence[int]]) -> None:
        children: list[dict[int, int]] = [{}]
        for position, answer in enumerate(tokenized_answers):
            node = 0
            for token in answer[:-1]:
                if token not in children[node]:
                    children[node][token] = len(children)
                    children.append({})
                node = children[node][token]
            children[node].setdefault(answer[-1], -1 - position)
        self.tokens: list[Longs] = [np.fromiter(node, np.int64, len(node)) for node in children]
        self.targets: list[Longs] = [np.fromiter(node.values(), np.int64, len(node)) for node in children]


def likeliest_answers(
    model: Any, prompts: Sequence[Sequence[int]], trie: Trie, k: int
) -> list[list[tuple[float, int]]]:
    """Return, for each prompt, the k answers in a trie that are its likeliest continuations, the likeliest first.

    An answer's log-likelihood is the sum of the log-probabilities that the model gives to the answer's tokens,
    including the end token. The log-probabilities are those over the whole vocabulary: renormalising them over the
    tokens that the trie allows would favour prefixes with few possible endings. The sum is not divided by the answer's
    length: the probabilities of complete answers can be compared as they are, while the mean over tokens would favour
    long titles with predictable endings.

    The search keeps the k likeliest unfinished prefixes of each length. It also drops every prefix that is less likely
    than k finished answers; that loses no answer of the result, since an answer is never likelier than its prefix. The
    result is exact if no more than k prefixes of any length compete; otherwise it is approximate.

    Parameters
    ----------
    model
        A causal language model of transformers.
    prompts : sequences of tokens
        At least one token each.

    Returns
    -------
    for each prompt, a list of (log-likelihood, position of the answer among the trie's answers)
        Equally likely answers are ordered by position.
    """
    trees = TokenTrees(model, prompts)
    # For each prompt, a heap of the finished answers, the least likely on top: (log-likelihood,
    # minus the position of the answer among the trie's answers).
    finished: list[list[tuple[float, int]]] = [[] for _ in prompts]
    # For each prompt, the unfinished prefixes of answers that the search keeps: (log-likelihood, node of the trie).
    beams = [[(0.0, 0)] for _ in prompts]
    while any(beams):
        log_probabilities = trees.logits.log_softmax(dim=2)
        parents: list[list[int]] = []
        tokens: list[list[int]] = []
        for row, beam in enumerate(beams):
            beams[row] = []
            parents.append([])
            tokens.append([])
            if not beam:
                continue
            parent = np.repeat(np.arange(len(beam)), [len(trie.tokens[node]) for _, node in beam])
            token = np.concatenate([trie.tokens[node] for _, node in beam])
            target = np.concatenate([trie.targets[node] for _, node in beam])
            # Only the log-probabilities of tokens that the trie allows are copied from the model's device to the CPU.
            score = log_probabilities[row, parent, token].cpu().numpy() + np.array([score for score, _ in beam])[parent]
            for position in np.flatnonzero(target < 0):
                _add_finished_answer(finished[row], (float(score[position]), int(1 + target[position])), k)
            least = finished[row][0][0] if len(finished[row]) == k else -np.inf
            unfinished = np.flatnonzero((target >= 0) & (score > least))
            for position in unfinished[np.argsort(-score[unfinished], kind="stable")[:k]]:
                beams[row].append((float(score[position]), int(target[position])))
                parents[row].append(int(parent[position]))
                tokens[row].append(int(token[position]))
        if any(beams):
            trees.add_level(parents, tokens)
    return [[(score, -position) for score, position in sorted(row, reverse=True)] for row in finished]


def _add_finished_answer(heap: list[tuple[float, int]], finished_answer: tuple[float, int], k: int) -> None:
    """Add a finished answer, (log-likelihood, minus its position), to a heap that keeps the k likeliest answers."""
    if len(heap) < k:
        heapq.heappush(heap, finished_answer)
    else:
        heapq.heappushpop(heap, finished_answer)
