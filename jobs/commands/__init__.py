"""What the command line does beside the jobs: load, publish, forget, status, the demo shop, and tables for people.

May import ``nightly`` and every folder that ``nightly`` may import.
"""
