"""What a forked process need not load again: one server forks those of all tests of a run."""

import catalogue  # noqa: F401

import jobs.cli
import jobs.evaluate
import jobs.prompting.openai_model
import jobs.recommend
import jobs.train  # noqa: F401
from jobs.embedding.providers.openai import encoding

encoding()
