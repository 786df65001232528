"""Providers of embeddings: each module is one, named as in the settings (see ``jobs.embedding.provider``)."""
