"""Commands that are no jobs: load, publish, forget, status and the demo shop; and the tables that people see printed.

May import ``nightly`` and every folder that ``nightly`` may import.
"""
