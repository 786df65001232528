"""Modules and the tokenizer, loaded once in the server that test_money forks its processes from."""
# ruff: noqa: F401

import catalogue
import httpcore2  # loaded in advance, like the next one, which would be loaded only when first used
import openai.resources.embeddings

import jobs.embedding.backfill
import jobs.embedding.providers.openai
from jobs.services.tokens import cl100k_base

cl100k_base()
