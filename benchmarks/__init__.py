"""Timings and quality figures, each run as ``python -m benchmarks.<name>``."""
