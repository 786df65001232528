"""The DuckDB warehouse: connections, the record of jobs' runs, and reading its tables into the arrays of ``core``.

May import ``core`` and the modules beside the folders (``settings``, ``errors``, ``progress``, ``files``).
"""
