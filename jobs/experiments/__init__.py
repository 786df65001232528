"""Experiments: models x seeds x settings on one protocol, measured alike and compared case by case."""
