"""Modules and the tokenizer, loaded once in the server that test_money forks its processes from."""

import catalogue  # noqa: F401

import jobs.embedding.backfill
import jobs.embedding.providers.openai  # noqa: F401
from jobs.services.tokens import cl100k_base

cl100k_base()
