"""Modules and the tokenizer, loaded once in the server that test_money forks its processes from."""
# ruff: noqa: F401

import absent_pandas
import catalogue
import dateutil.relativedelta  # loaded in advance, like packages below: else only when first used
import duckdb_threads
import embed_process
import httpcore2
import numpy.ma
import openai.resources.embeddings
import pyarrow.compute
import pyarrow.dataset

import jobs.embedding.backfill
import jobs.embedding.providers.openai
from jobs.dbt_vars import default_vars
from jobs.services.openai_tokenizer import cl100k_base

cl100k_base()
default_vars()
