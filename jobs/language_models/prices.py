"""OpenAI's prices of fine-tuned language models, as last known; the setting ``prompt_prices`` overrides them."""

from jobs.errors import UsageError
from jobs.settings import PromptPrice, Settings

PRICES = {
    "gpt-3.5-turbo-1106": PromptPrice(training=8, input=3, output=6),  # the model of LLMSeqPrompt's paper
    "gpt-4o-mini-2024-07-18": PromptPrice(training=3, input=0.3, output=1.2),
}


def prompt_price(model: str, settings: Settings) -> PromptPrice:
    """Return the prices of fine-tuning a base model and of asking the result.

    Raises
    ------
    UsageError
        If the price is unknown: nothing is bought without a known price.
    """
    prices = {**PRICES, **settings.prompt_prices}
    if model not in prices:
        raise UsageError(
            f"nextmart doesn't know the price of '{model}' (known: {', '.join(sorted(prices))}). Set it, in US dollars "
            f'a million tokens: [prompt_prices."{model}"] training = …, input = …, output = …'
        )
    return prices[model]
