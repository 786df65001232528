"""What a forked process need not load again."""

import catalogue  # noqa: F401

from jobs.services.tokens import cl100k_base

cl100k_base()
