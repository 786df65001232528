"""Renders macros and models of the dbt project without dbt, so that jobs use the same SQL rules as dbt's models."""

from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, NoReturn

import jinja2

from jobs.errors import UsageError
from jobs.files import project_folder


def dbt_macros(*file_names: str, dbt_vars: Mapping[str, Any] | None = None) -> Any:
    """Return an object whose attributes are the macros in files of ``dbt_project/macros``: functions that return SQL.

    A macro that dbt dispatches by adapter is rendered for DuckDB. Macros that refer to models or sources can't be
    rendered.

    Parameters
    ----------
    *file_names : str
        Names of files in ``dbt_project/macros``; without any name: all files.
    dbt_vars : mapping, optional
        Values of the dbt vars that the macros read.

    Raises
    ------
    UsageError
        When a macro is called and raises a compiler error.
    """
    folder = project_folder("dbt_project") / "macros"
    files = [folder / name for name in file_names] or sorted(folder.glob("*.sql"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)

    def dispatch(macro_name: str, _package: str) -> Any:
        return getattr(module, f"default__{macro_name}")

    values = dbt_vars or {}
    module = _compile_template(text).make_module(
        {
            "adapter": SimpleNamespace(dispatch=dispatch),
            "return": lambda value: value,
            "var": lambda name, default=None: values.get(name, default),
        }
    )
    return module


def dbt_model_sql(
    file_name: str, dbt_vars: Mapping[str, Any], table_replacements: Mapping[str, str] | None = None
) -> str:
    """Return the SQL of a dbt model.

    Parameters
    ----------
    file_name : str
        The model's file, relative to ``dbt_project/models``.
    dbt_vars : mapping
        Values of the dbt vars.
    table_replacements : table of a source, or name of a model -> SQL, optional
        Tables, or queries in parentheses, that the model reads instead.
    """
    replacements = table_replacements or {}
    model = (project_folder("dbt_project") / "models" / file_name).read_text(encoding="utf-8")
    macros = dbt_macros(dbt_vars=dbt_vars)
    names = {name: macro for name, macro in vars(macros).items() if not name.startswith("_")}
    return _compile_template(model).render(
        **names,
        config=lambda **_: "",
        ref=lambda model: replacements.get(model, model),
        source=lambda schema, table: replacements.get(f"{schema}.{table}", f"{schema}.{table}"),
        var=lambda name, default=None: dbt_vars.get(name, default),
    )


@cache
def _compile_template(text: str) -> jinja2.Template:
    """Compile a Jinja template; templates are cached, because compiling all macros takes a fifth of a second."""

    def raise_usage_error(message: str) -> NoReturn:
        raise UsageError(message)

    # Jinja's HTML escaping is off, because the macros return SQL and quote values themselves
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701
    environment.globals["exceptions"] = SimpleNamespace(raise_compiler_error=raise_usage_error)
    return environment.from_string(text)
