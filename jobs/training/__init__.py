"""The training loop, batches, and the group of processes that share them. It knows no model family.

May import ``core``.
"""
