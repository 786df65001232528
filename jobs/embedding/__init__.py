"""Vectors for item texts: providers, batching, and the backfill of what is missing."""
