"""Providers of embeddings: each module of this folder defines the provider that has the module's name.

A module's function ``make_provider(settings, embedding_model)`` returns the provider without loading or contacting
anything. A new provider is a new module in this folder and nothing else; a provider's interface is in
``jobs.embedding.provider``.
"""

from importlib import import_module
from pkgutil import iter_modules

from jobs.dbt_vars import EmbeddingModel
from jobs.embedding.provider import Provider
from jobs.errors import UsageError, nearest_name_hint
from jobs.settings import Settings


def provider_names() -> list[str]:
    """Return the names of all providers."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def provider_for(settings: Settings, embedding_model: EmbeddingModel) -> Provider:
    """Return the provider that an embedding model names, without loading or contacting anything yet.

    Raises
    ------
    UsageError
        If no provider has that name.
    """
    if embedding_model.provider not in provider_names():
        raise UsageError(
            f"embedding_models: '{embedding_model.provider}', the provider of {embedding_model.name}, is none; "
            f"{nearest_name_hint(embedding_model.provider, provider_names())}"
        )
    module = import_module(f"{__name__}.{embedding_model.provider.replace('-', '_')}")
    provider: Provider = module.make_provider(settings, embedding_model)
    return provider


def equivalent_provider_names(embedding_model: EmbeddingModel) -> list[str]:
    """Return the name of an embedding model's provider, then the names of other providers of the same vectors.

    OpenAI sells the same vectors directly (``openai``) and in batches (``openai-batch``).
    """
    openai = ["openai", "openai-batch"]
    return (
        sorted(openai, key=lambda provider_name: provider_name != embedding_model.provider)
        if embedding_model.provider in openai
        else [embedding_model.provider]
    )
