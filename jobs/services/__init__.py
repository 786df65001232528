"""What talks to a provider over HTTP: the client, the meaning of its errors, retries, and OpenAI's tokenizer.

May import the modules beside the folders.
"""
