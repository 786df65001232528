"""The DuckDB warehouse: connections, the table of job runs, and reading tables as the arrays of the package ``core``.

May import ``core`` and the modules directly in ``jobs`` (``settings``, ``errors``, ``progress``, ``files``).
"""
