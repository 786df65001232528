"""An optional package that is not installed is reported before any family is trained, which may take hours."""

import builtins

import pytest
from tiny_warehouse import rings

from jobs.errors import UsageError
from jobs.settings import Settings

HISTORY = rings(100, rings_=3)


@pytest.mark.parametrize(
    ("family", "parameters", "package", "extra"),
    [
        ("reranker", {"parts": ["popularity", "vsknn"]}, "lightgbm", "reranker"),
        ("llmseqprompt", {}, "peft", "llm"),
        ("fusion", {"parts": ["popularity", "llmseqprompt"]}, "peft", "llm"),
    ],
)
def test_a_missing_package_is_reported_before_other_families_are_trained(
    tiny, monkeypatch, family, parameters, package, extra
):
    import_module = builtins.__import__

    def import_without_package(name, *arguments, **options):
        if name == package:
            raise ImportError(f"No module named '{package}'")
        return import_module(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", import_without_package)
    settings = Settings(models=["popularity", family], parameters={family: parameters})
    with pytest.raises(UsageError, match=rf"nextmart\[{extra}\]"):
        tiny.run("train", settings)
    assert tiny.rows("select model from ml.models") == []
