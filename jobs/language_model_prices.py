"""The prices of one language model of a service: an entry of the setting ``prompt_prices``."""

from pydantic import BaseModel, ConfigDict, Field


class LanguageModelPrices(BaseModel):
    """Prices of a language model that a service fine-tunes, in US dollars for each million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    training: float = Field(ge=0)
    """Price of training, paid for each epoch."""
    input: float = Field(ge=0)
    """Price of the questions that the fine-tuned model is asked."""
    output: float = Field(ge=0)
    """Price of the fine-tuned model's answers."""
