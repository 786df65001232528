"""The packages that the commands' processes have imported already, and a build of dbt: see ``warm_commands``."""

import gc
from importlib import import_module

import absent_pandas  # noqa: F401 - once imported, it answers DuckDB
from quick_dbt import make_dbt_quick
from warm_builds import build_in_advance

gc.disable()  # to look for garbage takes a fifth of the imports' time
for name in (
    "dbt.adapters.duckdb", "dbt.cli.main", "pyarrow.dataset", "sentence_transformers", "torch",
    "jobs.cli", "jobs.nightly.evaluate", "jobs.nightly.recommend", "jobs.nightly.train",
):  # fmt: skip
    import_module(name)

make_dbt_quick()
build_in_advance()
gc.freeze()  # what is here lives as long as each fork
gc.set_threshold(20_000, 20, 20)  # as in the tests' own processes
gc.enable()
