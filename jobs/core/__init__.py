"""The numerical core: item sequences, the catalogue, exact top-k search, and ranking metrics.

The folder opens no database and no network connection, and reads no clock. It imports only the module
``jobs/errors.py`` of the project.
"""
