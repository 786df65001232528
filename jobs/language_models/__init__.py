"""Language models, on the local machine or at a service: fine-tuning, answers, and a record of all purchases.

May import ``core``, ``warehouse``, ``services``, ``embedding`` and ``training``.
"""
