"""The DuckDB warehouse: connections, the table of job runs, and reading tables into the arrays of ``core``.

May import ``core`` and the modules directly in ``jobs`` (``settings``, ``errors``, ``progress``, ``files``).
"""
