"""The published file: the verified copy of the public tables, the gate before it, the swap, and withdrawals from it.

``publication_record`` keeps in the warehouse which lists were live when, and ``targets`` copies the published tables to
other places.

May import ``warehouse``, and the modules directly in ``jobs``, such as ``errors``.
"""
