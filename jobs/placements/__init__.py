"""Placements: named lists of recommendations, which users restrict by rules in SQL.

Rules become arrays with an entry for each item of the catalogue (``rules``, ``placement``). Visitors for whom the rules
say the same form a group, and share the arrays. Lists are filled from ranked candidates (``candidates``, ``fill``,
``lists``), without a database. ``due_lists`` finds the lists to make anew, and ``variants`` the items that differ in
colour or size alone.

May import ``core``, ``warehouse``, ``loading``, ``models``, and the modules directly in ``jobs``, such as ``errors``.
"""
