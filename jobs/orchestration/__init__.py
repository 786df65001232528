"""Starting jobs: by name, from dbt, and on several processes.

May import ``commands``, ``nightly`` and every folder that ``nightly`` may import.
"""
