"""What every request to a provider of models over HTTP needs: a client, its errors, retries, and a tokenizer.

May import only the modules directly in ``jobs``, such as ``errors``.
"""
