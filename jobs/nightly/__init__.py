"""The jobs of a night (train, evaluate, recommend) and what they decide: freshness, the live model, who gets lists.

May import every folder above: ``core``, ``warehouse``, ``services``, ``embedding``, ``training``, ``language_models``,
``models`` and ``evaluation``.
"""
