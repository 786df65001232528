"""Small networks train fastest on one thread of the CPU, and there to the same bits each time."""

import pytest
from fake_language_model import Bigrams


@pytest.fixture(autouse=True, scope="package")
def small_networks(one_thread_of_the_cpu):
    """All tests here."""


@pytest.fixture(autouse=True)
def a_language_model_without_words(monkeypatch):
    monkeypatch.setattr("jobs.models.llmseqprompt.model.make_language_model", lambda parameters, services: Bigrams())
