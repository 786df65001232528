"""Model families by name."""

from collections.abc import Mapping
from typing import Any

from jobs.models.base import Model
from jobs.models.bert4rec import BERT4Rec, LLM2BERT4Rec
from jobs.models.fusion import Fusion
from jobs.models.gru4rec import GRU4Rec, LLM2GRU4Rec
from jobs.models.llmseqprompt import LLMSeqPrompt
from jobs.models.llmseqsim import LLMSeqSim
from jobs.models.popularity import Popularity
from jobs.models.sasrec import LLM2SASRec, SASRec
from jobs.models.sknn import SKNN, VSKNN
from jobs.models.sknnemb import SKNNEmb

FAMILIES: dict[str, type[Model]] = {
    family.family: family
    for family in (
        Popularity, LLMSeqSim, LLMSeqPrompt, SKNN, VSKNN, SKNNEmb, BERT4Rec, LLM2BERT4Rec, SASRec, LLM2SASRec, GRU4Rec,
        LLM2GRU4Rec, Fusion,
    )
}  # fmt: skip


def make(family: str, parameters: Mapping[str, Any] | None = None) -> Model:
    """Return an unfitted model of a family, with ``parameters`` over the family's defaults."""
    return FAMILIES[family](parameters)
