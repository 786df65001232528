"""The recommendation models: one interface, and a file or folder for each family.

May import ``core``, ``training`` and ``language_models``.
"""
