"""The list of the recommendation model families: each family's name and its Python class in ``jobs.models``.

Settings check family names against this list without loading any model; :mod:`jobs.models.registry` loads the classes.
"""

from typing import Annotated, Final

from pydantic import AfterValidator

from jobs.errors import nearest_name_hint

CLASS_OF_FAMILY: Final = {
    "popularity": "popularity.Popularity",
    "markov": "markov.Markov",
    "itemknn": "itemknn.ItemKNN",
    "ease": "ease.EASE",
    "llmseqsim": "llmseqsim.LLMSeqSim",
    "llmseqprompt": "llmseqprompt.model.LLMSeqPrompt",
    "sknn": "sknn.SKNN",
    "vsknn": "sknn.VSKNN",
    "sknnemb": "sknnemb.SKNNEmb",
    "bert4rec": "sequential.bert4rec.BERT4Rec",
    "llm2bert4rec": "sequential.bert4rec.LLM2BERT4Rec",
    "sasrec": "sequential.sasrec.SASRec",
    "llm2sasrec": "sequential.sasrec.LLM2SASRec",
    "gru4rec": "sequential.gru4rec.GRU4Rec",
    "llm2gru4rec": "sequential.gru4rec.LLM2GRU4Rec",
    "fusion": "fusion.Fusion",
    "reranker": "reranker.Reranker",
}


def require_known_family(name: str) -> str:
    """Check that ``name`` is the name of a model family, and return it.

    Raises
    ------
    ValueError
        If there is no such family; the message suggests the family with the most similar name.
    """
    if name not in CLASS_OF_FAMILY:
        raise ValueError(f"unknown family '{name}': {nearest_name_hint(name, CLASS_OF_FAMILY)}")
    return name


Family = Annotated[str, AfterValidator(require_known_family)]
"""Name of a model family, as a type that pydantic validates."""
