"""Experiments: models, seeds and settings compared on one protocol, with a report.

May import ``orchestration`` and every folder that ``orchestration`` may import.
"""
