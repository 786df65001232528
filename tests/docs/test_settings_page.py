"""docs/settings.md holds every setting and dbt var, and is what the code says now."""

from pathlib import Path

import pytest

from jobs.commands import settings_page
from jobs.dbt_vars import default_vars
from jobs.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"


def all_vars() -> list[settings_page.SettingRow]:
    return [
        row
        for _, names in settings_page.section_titles_and_names(settings_page._dbt_vars_yaml())
        for row in settings_page.dbt_var_rows(names)
    ]


def test_the_page_is_what_the_code_says_now():
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == settings_page.render_settings_page(), (
        "stale: run `make docs`"
    )


def test_the_page_has_every_setting_and_every_var():
    page = settings_page.render_settings_page()
    missing = [name for name in [*Settings.model_fields, *default_vars()] if f"\n| `{name}` |" not in page]
    assert not missing


def test_each_var_is_described_once():
    assert [row.name for row in all_vars()] == list(default_vars())


def test_a_var_without_a_description_is_refused(monkeypatch):
    monkeypatch.setattr(settings_page, "_dbt_vars_yaml", lambda: "  # --- Events ---\n\n  known: 1\n")
    with pytest.raises(ValueError, match="above the var 'known' must be"):
        settings_page.dbt_var_rows(["known"])
