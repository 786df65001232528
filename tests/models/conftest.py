"""Fixtures of the models' tests: one CPU thread, on which small networks train fastest and reproducibly bit by bit."""

import pytest
from fake_language_model import Bigrams


@pytest.fixture(autouse=True, scope="package")
def small_networks(one_thread_of_the_cpu):
    """Run all tests of this folder on one thread of the CPU."""


@pytest.fixture(autouse=True)
def a_language_model_without_words(monkeypatch):
    monkeypatch.setattr(
        "jobs.models.llmseqprompt.model.make_language_model", lambda parameters, paid_services: Bigrams()
    )
