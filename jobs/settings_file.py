"""Where settings stand: the file ``nextmart.toml``, and environment variables that begin with ``NEXTMART_``."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

FILE_NAME: Final = "nextmart.toml"
PREFIX: Final = "NEXTMART_"


def settings_file() -> Path:
    """Return the path of ``nextmart.toml``: in the working folder, or where the user has started dbt.

    dbt changes its working folder to its project; the environment variable ``PWD`` still names where it was started.
    """
    started_in = Path(os.environ.get("PWD", ""))
    is_in_dbt = Path("dbt_project.yml").exists() and not Path(FILE_NAME).exists()
    return started_in / FILE_NAME if is_in_dbt and (started_in / FILE_NAME).exists() else Path(FILE_NAME)


def origin_of_value(name: str, overrides: Collection[str]) -> str:
    """Return where a setting was given, as the beginning of an error message: ``--seed: ``, or the name of a file."""
    variable = PREFIX + name.upper()
    if name in overrides:
        return "dbt: " if name == "vars" else f"--{name.replace('_', '-')}: "
    return f"{variable}: " if variable in os.environ else f"{settings_file()}: "
