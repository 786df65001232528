"""Arrays and what is computed from them: the catalogue, sequences, exact top-k and metrics.

No database, no network and no clock. Imports nothing of the project but ``errors``.
"""
