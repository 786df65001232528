"""Benchmarks of speed and quality; each is run as ``python -m benchmarks.<name>``."""
