"""What the processes of ``warm_commands`` have already: packages, a tokenizer, and a build of dbt."""

import gc
from importlib import import_module

import absent_pandas  # noqa: F401 - once imported, it answers DuckDB
import duckdb_threads  # noqa: F401 - once imported, the environment sets the number of threads
from quick_dbt import make_dbt_quick
from warm_builds import build_in_advance

from jobs.dbt_vars import default_vars
from jobs.services.openai_tokenizer import cl100k_base

gc.disable()  # to look for garbage takes a fifth of the imports' time
for name in (
    "dateutil.relativedelta", "dbt.adapters.duckdb", "dbt.cli.main", "httpcore2", "numpy.ma",
    "openai.resources.embeddings", "pyarrow.compute", "pyarrow.dataset", "sentence_transformers", "torch",
    "jobs.cli", "jobs.embedding.backfill", "jobs.embedding.providers.openai", "jobs.nightly.evaluate",
    "jobs.nightly.recommend", "jobs.nightly.train",
):  # fmt: skip
    import_module(name)

cl100k_base()
default_vars()
make_dbt_quick()
build_in_advance()
gc.freeze()  # what is here lives as long as each fork
gc.set_threshold(20_000, 20, 20)  # as in the tests' own processes
gc.enable()
