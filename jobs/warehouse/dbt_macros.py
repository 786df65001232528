"""Rendering macros of the dbt project without dbt, so that jobs use the same SQL rules as dbt's models."""

from types import SimpleNamespace
from typing import Any, NoReturn

import jinja2

from jobs.errors import UsageError
from jobs.files import project_folder


def dbt_macros(*file_names: str) -> Any:
    """Return an object whose attributes are the macros in files of ``dbt_project/macros``: functions that return SQL.

    A macro that dbt dispatches by adapter has to be called by its full name, such as ``default__framed_hash``. Macros
    that refer to models, sources or vars can't be rendered.

    Parameters
    ----------
    *file_names : str
        Names of files in ``dbt_project/macros``.

    Raises
    ------
    UsageError
        When a macro is called and raises a compiler error.
    """

    def raise_usage_error(message: str) -> NoReturn:
        raise UsageError(message)

    folder = project_folder("dbt_project") / "macros"
    text = "\n".join((folder / file).read_text(encoding="utf-8") for file in file_names)
    # Jinja's HTML escaping is off, since the macros return SQL and quote values themselves.
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701
    environment.globals["exceptions"] = SimpleNamespace(raise_compiler_error=raise_usage_error)
    return environment.from_string(text).module
