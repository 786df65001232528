"""The packages that the commands' processes have imported already: see ``warm_commands``."""

import gc
from importlib import import_module

from quick_dbt import make_dbt_quick

for name in (
    "dbt.adapters.duckdb", "dbt.cli.main", "sentence_transformers", "torch", "warm_builds",
    "jobs.cli", "jobs.nightly.evaluate", "jobs.nightly.recommend", "jobs.nightly.train",
):  # fmt: skip
    import_module(name)

make_dbt_quick()
gc.freeze()  # what is here lives as long as each fork
