"""Print ``docs/settings.md``, the page of every setting and dbt var: ``python -m jobs.commands.settings_page``.

The description of a setting is the text below its field in ``jobs/settings.py``; that of a dbt var is the comment above
it in ``dbt_project.yml``. Types and ranges come from the classes that check the values. Lines such as
``# --- Events ---`` divide both files into sections.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml
from pydantic import BaseModel

from jobs.allowed_setting_values import type_in_words
from jobs.arm_settings import ArmsSettings
from jobs.attached_database_settings import AttachedDatabase
from jobs.dbt_vars import AllDbtVars, EmbeddingModel, default_vars
from jobs.files import project_folder
from jobs.language_model_prices import LanguageModelPrices
from jobs.loading.feed_settings import FeedSettings
from jobs.placement_settings import ExcludeSettings, PlacementSettings
from jobs.publish_targets import PublishTarget
from jobs.settings import NOT_SETTINGS, Settings

INTRODUCTION = """\
<!-- Made by `make docs` from jobs/settings.py and dbt_project/dbt_project.yml: change it there. -->

# Settings

Settings are read from `nextmart.toml` in the working folder. An environment variable wins over the file: its name is
`NEXTMART_` and the setting's name in capitals, such as `NEXTMART_SEED`; lists and tables are written as JSON in it. A
command's own option, such as `--warehouse`, wins over both. An unknown name, or a value that is not allowed,
stops the command with exit code 2 before anything runs: the message names the place, the value and what is allowed.

The keys of an API (`OPENAI_API_KEY`) are never settings: they are read from the environment alone, as
`OPENAI_BASE_URL` is."""

INTRODUCTION_TO_DBT_VARS = """\
A setting that SQL reads too is a dbt var. Set it in the table `[vars]` of `nextmart.toml`. A `dbt build` that is not
called by `nextmart run` stops if `[vars]` holds values that dbt was not given by its option `--vars`, or by the
`dbt_project.yml` of a project that uses this one as a package."""

MAX_DEFAULT_LENGTH_IN_TABLE = 80  # a default of more characters is printed below the table of settings, not in it


@dataclass(frozen=True)
class SettingRow:
    """One row of a table on the page of settings: a setting with its type, default and meaning."""

    name: str
    type: str
    default: str
    meaning: str


def render_settings_page() -> str:
    """Return the whole page of settings, in Markdown."""
    parts = [
        INTRODUCTION,
        "## Settings of jobs",
        *(
            part
            for title, names in section_titles_and_names(inspect.getsource(Settings))
            for part in _section_in_markdown(title, _setting_rows(names))
        ),
        "### A feed: `[feeds.NAME]`",
        "Of each feed, `nextmart load` takes what is new ([loading.md](loading.md#feeds)). An unknown key stops it.",
        _markdown_table(_field_rows(FeedSettings, {"kind": "the feed's name"})),
        "### The arms of an experiment: `[arms]`",
        "What the model is worth, against the control ([analysts.md](analysts.md#a-control-and-what-changed)).",
        _markdown_table(_field_rows(ArmsSettings)),
        "### A placement: `[placements.NAME]`",
        "Each night fills the lists of each placement ([analysts.md](analysts.md#placements)).",
        _markdown_table(_field_rows(PlacementSettings)),
        "### The key `exclude` of a placement",
        _markdown_table(_field_rows(ExcludeSettings)),
        "### A target: `[publish.NAME]`",
        "Each target gets a copy of the published tables ([operations.md](operations.md#targets)).",
        _markdown_table(_field_rows(PublishTarget)),
        "### An entry of `attach`",
        _markdown_table(_field_rows(AttachedDatabase)),
        "### An entry of `prompt_prices`",
        "US dollars a million tokens.",
        _markdown_table(_field_rows(LanguageModelPrices)),
        "## dbt vars",
        INTRODUCTION_TO_DBT_VARS,
        *(
            part
            for title, names in section_titles_and_names(_dbt_vars_yaml())
            for part in _section_in_markdown(title, dbt_var_rows(names))
        ),
        "### An entry of `embedding_models`",
        _markdown_table(
            [row for row in _field_rows(EmbeddingModel, {"model": "the entry's name"}) if row.name != "name"]
        ),
        "## Environment variables that are no settings",
        "\n".join(f"- `{name}`: {meaning}" for name, meaning in NOT_SETTINGS.items()),
    ]
    return "\n\n".join(parts) + "\n"


def section_titles_and_names(file_text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the title of each section of a file (``# --- Title ---``), with the names that the section defines."""
    _, *pieces = re.split(r"^ *# --- (.+) ---$", file_text, flags=re.MULTILINE)
    for title, body in zip(pieces[::2], pieces[1::2], strict=True):
        yield title, re.findall(r"^ {2,4}(\w+):", body, flags=re.MULTILINE)


def dbt_var_rows(var_names: list[str]) -> list[SettingRow]:
    """Return a row of the settings page for each dbt var, with the meaning from the comment above the var.

    Raises
    ------
    ValueError
        If a var has no comment above it.
    """
    types = AllDbtVars.model_json_schema()["properties"]
    comments = dict(re.findall(r"((?:^  # .*\n)+)^  (\w+):", _dbt_vars_yaml(), flags=re.MULTILINE))
    by_name = {name: re.sub(r"\s*^  # ", " ", text, flags=re.MULTILINE).strip() for text, name in comments.items()}
    rows = []
    for name in var_names:
        if not by_name.get(name):
            raise ValueError(f"dbt_project.yml: the comment above the var '{name}' must be its meaning")
        if name not in types:
            raise ValueError(f"jobs/dbt_vars.py: AllDbtVars lacks the var '{name}', with its type and range")
        type_words = type_in_words(types[name], mention_null=True)
        rows.append(SettingRow(name, type_words, f"`{json.dumps(default_vars()[name])}`", by_name[name]))
    return rows


def _dbt_vars_yaml() -> str:
    text = (project_folder("dbt_project") / "dbt_project.yml").read_text(encoding="utf-8")
    return text.split("\nvars:\n")[1].split("\nmodels:\n")[0]


def _setting_rows(setting_names: list[str]) -> list[SettingRow]:
    row_by_name = {row.name: row for row in _field_rows(Settings)}
    return [row_by_name[name] for name in setting_names if name in row_by_name]


def _field_rows(pydantic_class: type[BaseModel], computed_defaults: Mapping[str, str] = {}) -> list[SettingRow]:
    """Return a row for each field of a pydantic model.

    Parameters
    ----------
    computed_defaults : field -> text, optional
        Text for the page in place of a default that code computes.
    """
    schema = pydantic_class.model_json_schema()
    computed_defaults = {**dict.fromkeys(schema.get("required", ()), "required"), **computed_defaults}
    return [
        SettingRow(
            name,
            type_in_words(field),
            computed_defaults.get(name)
            or ("unset" if field["default"] is None else f"`{json.dumps(field['default'])}`"),
            " ".join(field["description"].split()),
        )
        for name, field in schema["properties"].items()
    ]


def _section_in_markdown(title: str, rows: list[SettingRow]) -> Iterator[str]:
    yield f"### {title}"
    yield _markdown_table(rows)
    for row in rows:
        if len(row.default) > MAX_DEFAULT_LENGTH_IN_TABLE:
            default = {row.name: json.loads(row.default.strip("`"))}
            yield f"Default of `{row.name}`:"
            yield f"```yaml\n{yaml.safe_dump(default, width=110, sort_keys=False)}```"


def _markdown_table(rows: list[SettingRow]) -> str:
    lines = ["| name | type | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        default = "below" if len(row.default) > MAX_DEFAULT_LENGTH_IN_TABLE else row.default
        cells = f"`{row.name}`", row.type, default, row.meaning
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(render_settings_page(), end="")  # noqa: T201
