"""Requests to services over HTTP: OpenAI's client, the errors of a service, retries, and OpenAI's tokenizer.

May import the modules of ``jobs`` that lie in no folder, such as ``jobs.errors``.
"""
