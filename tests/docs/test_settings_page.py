"""docs/settings.md holds every setting and dbt var, and is what the code says now."""

from pathlib import Path

import pytest

from jobs.commands import settings_page
from jobs.settings import Settings, default_vars

DOCS = Path(__file__).resolve().parents[2] / "docs"

TYPES = {
    "boolean": bool,
    "integer": int,
    "integer or null": (int, type(None)),
    "list of texts": list,
    "number": (int, float),
    "number from 0 to 1": float,
    "number or null": (int, float, type(None)),
    "regular expression": str,
    "session, visitor or user": str,
    "SQL": str,
    "table of booleans": dict,
    "table of numbers": dict,
    "table of tables": dict,
    "text": str,
    "text or null": (str, type(None)),
    "time": str,
}


def all_vars() -> list[settings_page.SettingRow]:
    return [
        row
        for _, names in settings_page.sections(settings_page._dbt_vars_yaml())
        for row in settings_page.dbt_var_rows(names)
    ]


def test_the_page_is_what_the_code_says_now():
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == settings_page.page(), "stale: run `make docs`"


def test_the_page_has_every_setting_and_every_var():
    page = settings_page.page()
    missing = [name for name in [*Settings.model_fields, *default_vars()] if f"\n| `{name}` |" not in page]
    assert not missing


def test_each_var_is_described_once_and_its_default_has_the_stated_type():
    rows = all_vars()
    assert [row.name for row in rows] == list(default_vars())
    wrong = [row.name for row in rows if not isinstance(default_vars()[row.name], TYPES[row.type])]
    assert not wrong


def test_a_var_without_a_description_is_refused(monkeypatch):
    monkeypatch.setattr(settings_page, "_dbt_vars_yaml", lambda: "  # --- Events ---\n\n  # no type\n  known: 1\n")
    with pytest.raises(ValueError, match="above the var 'known' must be"):
        settings_page.dbt_var_rows(["known"])
