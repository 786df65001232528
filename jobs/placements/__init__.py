"""Placements: named lists with rules in SQL, filled exactly.

Rules become arrays over the catalogue's items (``rules``, ``placement``), a set of them for each group of visitors for
whom the rules say the same. Lists are filled from ranked candidates (``candidates``, ``fill``, ``lists``), without a
database. What an array says of an item is at the item's index in the catalogue.

May import ``core``, ``warehouse``, ``loading`` and ``models``.
"""
