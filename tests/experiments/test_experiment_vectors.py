"""The embeddings of an experiment's models: of another embedding model, and of other item texts."""

import numpy as np
import pytest
import tiny_shop

from jobs.embedding.provider import EmbeddingAnswer, RequestLimits
from jobs.errors import NextmartError, UsageError
from jobs.experiments.command import run_experiment
from jobs.experiments.evaluation_data import read_evaluation_data
from jobs.experiments.search import search_hyperparameters
from jobs.experiments.spec import ExperimentSpec, ModelVariant
from jobs.experiments.vectors import Allowance, read_variant_vectors, write_variant_texts
from jobs.language_models.language_model import LanguageModel
from jobs.language_models.paid_services import PaidServices
from jobs.warehouse.job_runs import job_run
from jobs.warehouse.reading import read_catalog


class Lengths:
    """A provider whose vectors contain the length of the text."""

    request_limits, max_requests_in_flight = RequestLimits(100), 1

    def __init__(self, usd_per_million_tokens: float = 0.0) -> None:
        self.usd_per_million_tokens, self.texts = usd_per_million_tokens, []

    def count_tokens(self, texts):
        return [len(text) for text in texts]

    def truncate_text(self, text, max_tokens):
        return text[:max_tokens]

    def embed(self, texts):
        self.texts += texts
        return EmbeddingAnswer(
            np.array([[len(text), 1, 0, 0] for text in texts], np.float32), sum(self.count_tokens(texts))
        )


def variant(model=None, template=None):
    return ModelVariant("A", "llmseqsim", {}, model, template)


def read(connection, folder, *variants, allowance=None):
    return read_variant_vectors(
        connection,
        tiny_shop.settings(folder),
        list(variants),
        read_catalog(connection, 4),
        allowance or Allowance(0.0),
    )


def test_vectors_that_are_not_there_are_asked_for_by_name(tiny, tmp_path):
    with pytest.raises(NextmartError, match="18 texts have no vector of other yet: run `nextmart embed --model other`"):
        read(tiny, tmp_path, variant("other"))
    with pytest.raises(UsageError, match="did you mean 'other'"):
        read(tiny, tmp_path, variant("othre"))


def test_another_models_vectors_come_in_the_catalogues_order(tiny, tmp_path):
    tiny_shop.embed_with_other(tiny)
    name, vectors = read(tiny, tmp_path, variant("other"))["A"]
    assert name == "other"
    item_ids = read_catalog(tiny, 4).item_ids
    assert vectors.tolist() == [[float(item[1:]), 1, 2] for item in item_ids]


def test_other_texts_are_embedded_once(tiny, tmp_path, monkeypatch):
    provider = Lengths()
    monkeypatch.setattr("jobs.embedding.backfill.provider_for", lambda *_: provider)
    wanted = variant(None, ("{title}", "by {brand}", "{description}"))
    name, vectors = read(tiny, tmp_path, wanted)["A"]
    assert name == "tiny of {title} by {brand} {description}"
    assert set(provider.texts) == {f"title {item}. by brand" for item in read_catalog(tiny, 4).item_ids}
    assert vectors[:, 0].tolist() == [len("title i00. by brand")] * 18
    read(tiny, tmp_path, wanted)
    assert len(provider.texts) == 18


def test_texts_of_the_warehouses_own_template_have_its_hashes(tiny):
    write_variant_texts(tiny, ("{title}",))
    different = tiny.execute("from temp.experiment_texts except from catalog.item_texts").fetchall()
    assert different == []


def test_texts_that_cost_money_need_leave(tiny, tmp_path, monkeypatch):
    provider = Lengths(usd_per_million_tokens=1e6)
    monkeypatch.setattr("jobs.embedding.backfill.provider_for", lambda *_: provider)
    with pytest.raises(NextmartError, match=r"18 texts .* --max-cost"):
        read(tiny, tmp_path, variant(None, ("{brand} {title}",)))
    assert provider.texts == []
    read(tiny, tmp_path, variant(None, ("{brand} {title}",)), allowance=Allowance(1_000))
    assert len(provider.texts) == 18


def llmseqsim_with_texts(label):
    """Return an entry of an experiment whose texts cost 18 * 11 = 198 dollars by ``Lengths(1e6)``."""
    return {"family": "llmseqsim", "label": label, "item_text_template": [f"{label} {{title}}"]}


def test_the_spending_limit_holds_for_all_texts_of_an_experiment_together(tiny, tmp_path, monkeypatch):
    provider = Lengths(usd_per_million_tokens=1e6)
    monkeypatch.setattr("jobs.embedding.backfill.provider_for", lambda *_: provider)
    spec = ExperimentSpec(name="t", protocol="paper", models=[llmseqsim_with_texts("A"), llmseqsim_with_texts("B")])
    with (
        pytest.raises(NextmartError, match=r"model 'B': 18 texts .* --max-cost .*: \$102 of it are left"),
        job_run(tiny, "experiment") as record,
    ):
        run_experiment(tiny, tiny_shop.settings(tmp_path), record, spec, tmp_path, max_cost=300)
    assert len(provider.texts) == 18
    with job_run(tiny, "experiment") as record:
        run_experiment(tiny, tiny_shop.settings(tmp_path), record, spec, tmp_path, max_cost=198)
    assert len(provider.texts) == 36


def test_searches_spend_from_the_allowance_that_they_are_given(tiny, tmp_path, monkeypatch):
    provider = Lengths(usd_per_million_tokens=1e6)
    monkeypatch.setattr("jobs.embedding.backfill.provider_for", lambda *_: provider)
    search = {"trials": 1, "space": {"llmseqsim": {"decay": ["last"]}}}
    spec = ExperimentSpec(name="t", protocol="paper", models=[llmseqsim_with_texts("A")], search=search)
    settings = tiny_shop.settings(tmp_path)
    allowance = Allowance(300)
    evaluation_data = read_evaluation_data(tiny, settings, "paper")
    search_hyperparameters(PaidServices(tiny, settings), spec, evaluation_data, allowance)
    assert allowance.left_usd == pytest.approx(300 - 198)


def test_a_template_without_such_a_field_is_refused(tiny):
    with pytest.raises(UsageError, match="is no field"):
        write_variant_texts(tiny, ("{colour}",))


class MakesUpNames(LanguageModel):
    """Answers each question with a name that no item has."""

    def fine_tune(self, examples, held_out_examples, seed, checkpoint_file):
        pass

    def draw_answers(self, conversations, sampling):
        return [["a made-up name"] * sampling.answers_per_conversation for _ in conversations]

    def choose_likeliest_answers(self, conversations, choices, k):
        raise NotImplementedError

    def state(self):
        return {}

    def restore(self, state):
        pass


@pytest.mark.parametrize("where", ["models", "search"])
def test_made_up_names_get_vectors_of_the_embedding_model_that_the_items_have(tiny, tmp_path, monkeypatch, where):
    """Names and items are compared by cosine, so that names of the served model, of other dimensions, would not do."""
    tiny_shop.embed_with_other(tiny)
    asked = []

    class InThreeDimensions(Lengths):
        def embed(self, texts):
            return EmbeddingAnswer(np.array([[5, 1, 2] for _ in texts], np.float32), 0)

    def provider_for(settings, embedding_model):
        asked.append(embedding_model.name)
        return InThreeDimensions()

    monkeypatch.setattr("jobs.language_models.name_vectors.provider_for", provider_for)
    monkeypatch.setattr("jobs.models.llmseqprompt.model.make_language_model", lambda *_: MakesUpNames())
    other = {"family": "llmseqprompt", "label": "A", "embedding_model": "other"}
    served = {"family": "popularity"}
    search = {"trials": 1, "space": {"llmseqprompt": {"window": [20]}}} if where == "search" else None
    spec = ExperimentSpec(name="t", protocol="paper", models=[other, served], search=search)
    with job_run(tiny, "experiment") as record:
        run_experiment(tiny, tiny_shop.settings(tmp_path, prompt_max_cost=1.0), record, spec, tmp_path)
    assert record.detail["failed"] == {}
    assert asked == ["other"], "once: the vector is kept"
