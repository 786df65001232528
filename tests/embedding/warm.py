"""What a forked process need not load again."""

import catalogue  # noqa: F401

from jobs.embedding.providers.openai import encoding

encoding()
