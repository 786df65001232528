"""Training by gradient descent: the loop with early stopping and checkpoints, batches, and data-parallel processes.

Modules in this folder know no model family. They may import ``jobs.core`` and modules directly in ``jobs``, such as
``jobs.errors``.
"""
