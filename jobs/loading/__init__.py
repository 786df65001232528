"""Reads users' files and database tables, whatever their format, and appends their rows to the raw tables.

May import ``warehouse``, ``core``, and the modules directly in ``jobs``.
"""
