"""Item texts and their vectors: what is missing, which provider makes it, at what cost, and the embed job.

May import ``core``, ``warehouse`` and ``services``.
"""
