"""Commands that are no jobs (load, publish, forget, status, the demo shop), and the tables that commands print.

May import ``nightly`` and every folder that ``nightly`` may import.
"""
