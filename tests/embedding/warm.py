"""What a forked process need not load again: one server forks those of all tests of a run."""
# ruff: noqa: F401

import catalogue
import httpcore2  # this and the next three are else loaded when they are first used
import openai.resources.chat
import openai.resources.fine_tuning
import pyarrow.dataset

import jobs.cli
import jobs.evaluate
import jobs.prompting.openai_model
import jobs.recommend
import jobs.train
from jobs.embedding.providers.openai import encoding

encoding()
