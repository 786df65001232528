"""The numerical core: item sequences, the catalogue, exact top-k search, and ranking metrics.

Modules in this folder open no database and no network connection, and read no clock. The only other module of the
project that they import is ``jobs.errors``.
"""
