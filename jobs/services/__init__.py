"""Requests to a provider over HTTP: the client, the meaning of its errors, retries, and OpenAI's tokenizer.

May import only the modules directly in ``jobs``, such as ``errors``.
"""
