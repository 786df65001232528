"""The recommendation models: their common interface, and a file or folder for each model family.

Modules in this folder may import ``jobs.core``, ``jobs.training``, ``jobs.language_models`` and modules directly in
``jobs``, such as ``jobs.errors``.
"""
