"""Training by gradient descent: the loop with early stopping and checkpoints, batches, and several processes at once.

Nothing here depends on a model family. The folder may import ``core`` and the modules directly in ``jobs``, such as
``errors``.
"""
