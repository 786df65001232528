"""Language models, on this machine and at a service: fine-tuning them, asking them questions, and the record of all answers and trainings that were bought.

May import ``core``, ``warehouse``, ``services``, ``embedding`` and ``training``.
"""
