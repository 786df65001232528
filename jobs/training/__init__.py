"""Training by gradient: the loop with early stopping and checkpoints, batches, and several processes at once.

The folder knows no model family. May import ``core`` and the modules beside the folders.
"""
