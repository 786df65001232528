"""The vectors of item texts: which are missing, which provider makes them, what they cost, and the embed job.

May import ``core``, ``warehouse`` and ``services``.
"""
