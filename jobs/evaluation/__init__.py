"""Evaluation: splits of the history, the protocols that choose a split, measuring a model, and comparing two models.

May import ``core``, ``warehouse`` and ``models``.
"""
