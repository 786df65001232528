"""The jobs of a night: train, evaluate and recommend.

They decide which models are fresh, which model is live, and which visitors get new lists.

May import ``core``, ``warehouse``, ``services``, ``embedding``, ``training``, ``language_models``,
``models`` and ``evaluation``.
"""
