"""The jobs of a night (train, evaluate, recommend) and their decisions: which models are fresh, which one is live, and which visitors get new lists.

May import ``core``, ``warehouse``, ``services``, ``embedding``, ``training``, ``language_models``,
``models`` and ``evaluation``.
"""
