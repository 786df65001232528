"""Language models, on this machine and at a service: fine-tuning, questions, and the record of all that was bought.

May import ``core``, ``warehouse``, ``services``, ``embedding`` and ``training``.
"""
