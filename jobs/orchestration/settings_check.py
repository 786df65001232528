"""Checks settings before `nextmart run` and before every dbt command that builds or tests."""

import json
import shlex
from collections.abc import Collection, Mapping
from typing import Any

from jobs.dbt_vars import all_vars, default_vars
from jobs.embedding.providers import provider_for
from jobs.errors import NextmartError, UsageError, nearest_name_hint, redact
from jobs.services.openai_address import require_valid_openai_address
from jobs.settings import Settings, load_settings
from jobs.settings_file import settings_file


def require_sound_settings(settings: Settings) -> None:
    """Check settings that :func:`jobs.settings.load_settings` doesn't check.

    These are the provider of embeddings, the hyper-parameters of families, and the syntax of placements' rules. The
    columns that rules name are checked later, by the job ``place``, because they are known only with the catalogue.

    Raises
    ------
    UsageError
        If the provider does not exist, ``OPENAI_BASE_URL`` is no address or holds a password, a hyper-parameter is
        unknown or wrong, or the text of a placement's rule is no SQL expression.
    """
    embedding_model = settings.job_vars().chosen_embedding_model
    provider_for(settings, embedding_model)
    if embedding_model.provider.startswith("openai"):
        require_valid_openai_address()
    if settings.placements:
        # imported only if the settings have placements, because the check needs numpy and DuckDB
        import duckdb

        from jobs.placements.rules import require_parsable_rules

        with duckdb.connect() as connection:
            for name, placement in settings.placements.items():
                require_parsable_rules(connection, name, placement, settings.job_vars())
    if settings.parameters:
        # imported here, because torch is needed only to check hyper-parameters, if the settings have any
        from jobs.models.registry import make_model
        from jobs.nightly.train import make_configured_model

        for family, hyperparameters in settings.parameters.items():
            if family in settings.models:
                make_configured_model(settings, family)
            else:
                make_model(family, hyperparameters)


def dbt_var_names(_: str) -> str:
    """Return the names of all dbt vars as a JSON list; a dbt macro then looks up the values that dbt uses."""
    return json.dumps(list(default_vars()))


def settings_problem(dbt_run_json: str) -> str:
    """Return the reason why dbt must not build with its vars; an empty text if the vars are right.

    Parameters
    ----------
    dbt_run_json : str
        JSON: ``vars``, the values that dbt uses, by name; ``named``, the names that its option ``--vars`` holds; and
        ``is_own_project``, whether nextmart's project is the one that dbt runs, not a package of another project.
    """
    given = json.loads(dbt_run_json)
    try:
        settings = load_settings()
        if given["is_own_project"]:  # another project has vars of its own, which nextmart doesn't know
            _require_known_vars(given["named"])
        all_vars(given["vars"])
        require_sound_settings(settings)
        if problem := settings.problem_of_outcome_days(given["vars"]["outcome_days"]):
            raise UsageError(problem)
        _require_same_vars(settings.vars, given["vars"], given["named"])
    except NextmartError as error:
        return redact(str(error))
    return ""


def _require_known_vars(var_names: Collection[str]) -> None:
    """Raise UsageError if a name is no dbt var, because dbt would ignore it without a message."""
    for name in var_names:
        if name not in default_vars():
            raise UsageError(f"--vars: unknown dbt var '{name}': {nearest_name_hint(name, default_vars())}")


def _require_same_vars(
    toml_vars: Mapping[str, Any], vars_in_use: Mapping[str, Any], names_in_vars_option: Collection[str]
) -> None:
    """Raise UsageError if dbt uses another value than ``[vars]`` for a var that its option ``--vars`` doesn't name."""
    other = {
        name: vars_in_use[name]
        for name, value in toml_vars.items()
        if vars_in_use[name] != value and name not in names_in_vars_option
    }
    if not other:
        return
    changes = ", ".join(
        f"{name} = {json.dumps(toml_vars[name])} (dbt uses {json.dumps(other[name])})" for name in other
    )
    option = f"--vars {shlex.quote(json.dumps(dict(toml_vars)))}"
    raise UsageError(
        f"{settings_file()} sets vars that dbt was not given, so dbt would build other tables than `nextmart run`: "
        f"{changes}. Call `nextmart run`, or give dbt the option {option}. In a dbt project of your own, write "
        "the vars in its dbt_project.yml, or leave them out of one of the two files."
    )
