"""The DuckDB warehouse: connections, the record of each run of a job, and reading its tables into the arrays of ``core``.

May import ``core`` and the modules directly in ``jobs`` (``settings``, ``errors``, ``progress``, ``files``).
"""
