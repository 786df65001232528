"""Small networks train fastest on one thread of the CPU, and there to the same bits each time."""

import pytest
import torch
from fake_language_model import Bigrams


@pytest.fixture(autouse=True, scope="package")
def one_thread_of_the_cpu():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.models.sequential.device", lambda: torch.device("cpu"))
        yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def a_language_model_without_words(monkeypatch):
    monkeypatch.setattr("jobs.models.llmseqprompt.make_language_model", lambda parameters, access: Bigrams())
