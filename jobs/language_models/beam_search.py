"""Choose among given answers by their likelihood: beam search over a trie of their tokens."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from jobs.core.arrays import Longs
from jobs.language_models.token_trees import TokenTrees


class Trie:
    """Answers by their tokens; each path ends with the end token, so no answer is only another's beginning.

    Parameters
    ----------
    answers : sequences of tokens
        Each ends with the end token, which is nowhere else. Of equal ones the first stands for all.

    Attributes
    ----------
    tokens, targets : lists of int64 arrays
        For each node, the tokens that may follow, and where they lead: a node, or ``-1 - place`` of an answer.
    """

    def __init__(self, answers: Sequence[Sequence[int]]) -> None:
        children: list[dict[int, int]] = [{}]
        for place, answer in enumerate(answers):
            node = 0
            for token in answer[:-1]:
                if token not in children[node]:
                    children[node][token] = len(children)
                    children.append({})
                node = children[node][token]
            children[node].setdefault(answer[-1], -1 - place)
        self.tokens: list[Longs] = [np.fromiter(node, np.int64, len(node)) for node in children]
        self.targets: list[Longs] = [np.fromiter(node.values(), np.int64, len(node)) for node in children]


def choose(model: Any, prompts: Sequence[Sequence[int]], trie: Trie, k: int) -> list[list[tuple[float, int]]]:
    """Return each prompt's k likeliest answers, the likeliest first, with their log-likelihoods.

    An answer's log-likelihood is the sum of its tokens' log-probabilities, the end token's included, under the
    model itself: not renormalised over the trie, which would forgive a dead end that a beam was forced into. It is not
    divided by the length either: with its end an answer is a whole event, whose probability can be compared with
    any other's, and the mean would favour long titles for their predictable tails.

    Beams are the k likeliest unfinished beginnings of each length. A beginning less likely than k finished answers
    is dropped, which loses nothing: it can only get less likely. So the result is exact wherever no more than k
    beginnings of one length compete, and otherwise that of beam search.

    Returns
    -------
    for each prompt, (log-likelihood, place of the answer), equal ones by place
    """
    trees = TokenTrees(model, prompts)
    found: list[list[tuple[float, int]]] = [[] for _ in prompts]  # heaps, the least likely on top
    beams = [[(0.0, 0)] for _ in prompts]  # (log-likelihood, node of the trie)
    while any(beams):
        logs = trees.logits.log_softmax(dim=2)
        parents: list[list[int]] = []
        tokens: list[list[int]] = []
        for row, own in enumerate(beams):
            beams[row] = []
            parents.append([])
            tokens.append([])
            if not own:
                continue
            parent = np.repeat(np.arange(len(own)), [len(trie.tokens[node]) for _, node in own])
            token = np.concatenate([trie.tokens[node] for _, node in own])
            target = np.concatenate([trie.targets[node] for _, node in own])
            # only what the trie allows leaves the device
            score = logs[row, parent, token].cpu().numpy() + np.array([score for score, _ in own])[parent]
            for place in np.flatnonzero(target < 0):
                _push(found[row], (float(score[place]), int(1 + target[place])), k)
            least = found[row][0][0] if len(found[row]) == k else -np.inf
            open_ = np.flatnonzero((target >= 0) & (score > least))
            for place in open_[np.argsort(-score[open_], kind="stable")[:k]]:
                beams[row].append((float(score[place]), int(target[place])))
                parents[row].append(int(parent[place]))
                tokens[row].append(int(token[place]))
        if any(beams):
            trees.grow(parents, tokens)
    return [[(score, -place) for score, place in sorted(row, reverse=True)] for row in found]


def _push(heap: list[tuple[float, int]], candidate: tuple[float, int], k: int) -> None:
    """Keep the k largest (log-likelihood, minus the place)."""
    if len(heap) < k:
        heapq.heappush(heap, candidate)
    else:
        heapq.heappushpop(heap, candidate)
