"""Makes requests to a provider of models over HTTP: OpenAI's client, error classes, retries, and OpenAI's tokenizer.

May import only the modules directly in ``jobs``, such as ``errors``.
"""
