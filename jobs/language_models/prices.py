"""OpenAI's prices, as last known, of fine-tuning language models and of asking them."""

from jobs.errors import UsageError
from jobs.language_model_prices import LanguageModelPrices
from jobs.settings import Settings

PRICES = {
    "gpt-3.5-turbo-1106": LanguageModelPrices(
        training=8, input=3, output=6
    ),  # the model with which LLMSeqPrompt was published
    "gpt-4o-mini-2024-07-18": LanguageModelPrices(training=3, input=0.3, output=1.2),
}


def language_model_prices(base_model: str, settings: Settings) -> LanguageModelPrices:
    """Return the prices of fine-tuning a base model and of asking the fine-tuned model.

    The setting ``prompt_prices`` overrides the prices in ``PRICES``.

    Raises
    ------
    UsageError
        If the price is unknown: nothing is bought without a known price.
    """
    prices = {**PRICES, **settings.prompt_prices}
    if base_model not in prices:
        raise UsageError(
            f"nextmart doesn't know the price of '{base_model}' (known: {', '.join(sorted(prices))}). Set it, in "
            f'US dollars a million tokens: [prompt_prices."{base_model}"] training = …, input = …, output = …'
        )
    return prices[base_model]
