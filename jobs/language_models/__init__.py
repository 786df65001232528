"""Language models, local and of a service: fine-tuning, answers, and the record of what was bought.

May import ``core``, ``warehouse``, ``services``, ``embedding`` and ``training``.
"""
