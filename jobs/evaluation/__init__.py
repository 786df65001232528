"""Evaluation: splits of the history, the protocols that choose them, and measuring a model on held-out cases.

May import ``core``, ``warehouse`` and ``models``.
"""
