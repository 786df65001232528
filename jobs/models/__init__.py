"""The recommendation models: their common interface, and a file or folder for each model family.

The folder may import ``core``, ``training``, ``language_models``, and the modules directly in ``jobs``, such as
``errors``.
"""
