"""``[placements.NAME]``: a wrong key or value is refused with the placement, the key and what is allowed."""

from pathlib import Path

import pytest

from jobs.errors import UsageError
from jobs.orchestration.settings_check import require_sound_settings
from jobs.settings import load_settings


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[placements.home]\nitem = "a"', r"nextmart.toml: \[placements.home\]: unknown key 'item': .*'items'"),
        ("[placements.home]\nk = 0", r"\[placements.home\] k = 0: .*greater than or equal to 1"),
        ("[placements.home]\ndiversity = 2", "diversity = 2: "),
        ("[placements.home]\nmax_per = { brand = 0 }", "max_per.brand = 0: "),
        ("[placements.home]\nmax_per = { brand = 1, Brand = 2 }", "max_per: a column is named twice"),
        ('[placements.home]\nitems = " "', r"items = ' ': "),
        ('[placements.home]\npins = { x = "a" }', "pins.x = 'x': .*integer"),
        ('[placements.home]\npins = { 1 = "a", 2 = "a" }', "the item 'a' is pinned to two ranks"),
        ('[placements.home]\npins = { 1 = "a" }\nslots = { 1 = "price < 3" }', "rank 1 has a pin and a slot"),
        ("[placements.home]\nexclude = { days = 3 }", "the key 'exclude.event_types' is missing"),
        ('[placements.home]\nexclude = { event_type = ["a"], days = 3 }', "exclude.event_type': .*'event_types'"),
        ('[placements.home]\nmodel = "bert5rec"', "unknown family 'bert5rec': did you mean 'bert4rec'"),
        ('[placements.home]\nfallback = "pop"', "fallback = 'pop': .*'popularity' or 'none'"),
        ('[placements."my home"]\nk = 3', "'my home' is no name of a placement"),
        ('[placements.home]\nitems = "price < 3 order by 1"', "items: .*write exactly one SQL expression"),
        ('[placements.home]\nslots = { 30 = "price < 3" }', "slots: rank 30 lies behind the list's last, 20"),
    ],
)
def test_a_wrong_placement_is_refused_before_a_night(tmp_path, monkeypatch, table, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    Path("nextmart.toml").write_text(table)
    with pytest.raises(UsageError, match=said):
        require_sound_settings(load_settings())


def test_jobs_that_dbt_starts_read_the_same_placements(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    Path("nextmart.toml").write_text(
        '[placements.home]\npins = { 1 = "a" }\nslots = { 2 = "price < 3" }\nmax_per = { brand = 2 }\n'
        'exclude = { event_types = ["purchase"], days = 90 }\n[placements.mail]\n'
    )
    settings = load_settings()
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    Path("nextmart.toml").unlink()
    assert load_settings().placements == settings.placements
