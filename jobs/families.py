"""The model families by name, each with its class in ``jobs.models``: the one list of them.

Settings check names against it without loading any model; :mod:`jobs.models.registry` loads the classes.
"""

from typing import Annotated, Final

from pydantic import AfterValidator

from jobs.errors import nearest

FAMILIES: Final = {
    "popularity": "popularity.Popularity",
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
}


def known_family(name: str) -> str:
    """Return ``name``.

    Raises
    ------
    ValueError
        If no family is called so; the message names the nearest one.
    """
    if name not in FAMILIES:
        raise ValueError(f"unknown family '{name}': {nearest(name, FAMILIES)}")
    return name


Family = Annotated[str, AfterValidator(known_family)]
