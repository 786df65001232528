"""Benchmarks of nextmart's speed, memory and quality; each is run as ``python -m benchmarks.<name>``."""
