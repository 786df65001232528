"""The jobs of a night: train, evaluate and recommend.

They decide which model families are trained again, which model is live (makes the recommendations), and which visitors
get new recommendation lists.

May import ``core``, ``warehouse``, ``services``, ``embedding``, ``training``, ``language_models``,
``models`` and ``evaluation``.
"""
