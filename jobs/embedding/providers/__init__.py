"""Providers of embeddings, found by name: each module of this folder is the provider that is named like the module.

A module's function ``make(settings, model)`` returns the provider without loading or contacting anything. A new
provider is a new module here and nothing else; its interface is in ``jobs.embedding.provider``.
"""

from importlib import import_module
from pkgutil import iter_modules

from jobs.embedding.provider import Provider
from jobs.errors import UsageError, nearest
from jobs.settings import EmbeddingModel, Settings


def provider_names() -> list[str]:
    """Return the names of all providers."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def provider_for(settings: Settings, model: EmbeddingModel) -> Provider:
    """Return the provider that serves an embedding model, without loading or contacting anything yet.

    Raises
    ------
    UsageError
        If there is no such provider.
    """
    if model.provider not in provider_names():
        raise UsageError(
            f"embedding_models: '{model.provider}', the provider of {model.name}, is none; "
            f"{nearest(model.provider, provider_names())}"
        )
    module = import_module(f"{__name__}.{model.provider.replace('-', '_')}")
    provider: Provider = module.make(settings, model)
    return provider
