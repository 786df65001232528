"""Language models, on this machine and at a service: fine-tuning, answers, and a record of all that was bought.

May import ``core``, ``warehouse``, ``services``, ``embedding`` and ``training``.
"""
