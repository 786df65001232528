"""Providers of embeddings, one a file that bears its name (see ``jobs.embedding.provider``)."""
