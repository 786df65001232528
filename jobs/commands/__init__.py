"""Commands that are no jobs (load, forget, status, maintain, the demo shop), and the tables that commands print.

May import ``publishing``, ``nightly`` and every folder that ``nightly`` may import.
"""
