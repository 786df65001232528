"""Language models on the local machine or at OpenAI: fine-tuning them, asking them, and recording paid requests.

May import ``core``, ``warehouse``, ``services``, ``embedding`` and ``training``.
"""
