"""Embedding of item texts: which texts lack a vector, which provider makes it, at what cost, and the embed job.

May import ``core``, ``warehouse`` and ``services``.
"""
