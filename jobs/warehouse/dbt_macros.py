"""Macros of the dbt project, rendered without dbt: a rule that jobs share with dbt's models is written once, there."""

from types import SimpleNamespace
from typing import Any, NoReturn

import jinja2

from jobs.errors import UsageError
from jobs.files import project_folder


def dbt_macros(*files: str) -> Any:
    """Return the macros of some files of ``dbt_project/macros`` as functions that give SQL text.

    A macro that dispatches by adapter is called by its own name, such as ``default__framed_hash``. A macro that refers
    to models, sources or vars can't be rendered.

    Raises
    ------
    UsageError
        When a macro that is called raises a compiler error.
    """

    def stop(message: str) -> NoReturn:
        raise UsageError(message)

    folder = project_folder("dbt_project") / "macros"
    text = "\n".join((folder / file).read_text(encoding="utf-8") for file in files)
    # the text is SQL, not HTML; the macros quote values
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701
    environment.globals["exceptions"] = SimpleNamespace(raise_compiler_error=stop)
    return environment.from_string(text).module
