"""How jobs are started: by name, by dbt, and on several processes.

May import ``commands``, ``nightly`` and every folder that ``nightly`` may import.
"""
