"""A fake language model for tests: it counts which item name follows which, and answers with the most frequent one."""

import json
from collections import Counter

import numpy as np

from jobs.language_models.language_model import Conversation, LanguageModel, Sampling


def sections(conversation: Conversation) -> dict[str, list[str]]:
    """Parse the item names of a conversation's prompt: section title -> names."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in conversation.user.split("\n")[:-1]:
        if line.startswith('"'):
            found[title].append(json.loads(line))
        else:
            title = line
            found[title] = []
    return found


class Bigrams(LanguageModel):
    """Always answers the name that most often followed the last name; a blank answer after an unknown name."""

    def __init__(self):
        self.followers: dict[str, Counter[str]] = {}

    def fine_tune(self, examples, held_out, seed, checkpoint):
        for example in examples:
            self.followers.setdefault(self.last(example), Counter())[example.answer] += 1

    def last(self, conversation):
        return sections(conversation)["History:"][-1]

    def best(self, conversation):
        return [answer for answer, _ in self.followers.get(self.last(conversation), Counter()).most_common()]

    def draw_answers(self, conversations, sampling: Sampling):
        return [(self.best(one)[:1] or ["  "]) * sampling.answers_per_conversation for one in conversations]

    def choose_likeliest_answers(self, conversations, choices, k):
        found = []
        for one in conversations:
            first = [choices.index(answer) for answer in self.best(one) if answer in choices]
            found.append([*first, *(place for place in range(len(choices)) if place not in first)][:k])
        return found

    def state(self):
        return {"followers": np.frombuffer(json.dumps(self.followers, sort_keys=True).encode(), np.uint8)}

    def restore(self, state):
        self.followers = {
            name: Counter(counts) for name, counts in json.loads(state["followers"].tobytes().decode()).items()
        }
