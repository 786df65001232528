"""The published file: the verified copy of the public tables, the gate before it, the swap, and withdrawals from it.

May import ``warehouse``.
"""
