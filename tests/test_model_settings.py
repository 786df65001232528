"""Settings of the models that could only fail after hours of training are refused at once."""

import pytest

from jobs.errors import UsageError
from jobs.settings import load_settings


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"models": ["vsknn", "popularity", "vsknn"]}, "'models': .*vsknn is named twice; name each family once"),
        ({"models": []}, "'models': .*name one family at least"),
        ({"seed": -1}, "'seed': .*greater than or equal to 0"),
    ],
)
def test_a_wrong_value_is_refused_by_its_settings_name(tmp_path, monkeypatch, wrong, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=says):
        load_settings(**wrong)
