"""Deletes the uploaded files of examples at the service once their fine-tuning has ended.

The examples are made from visitors' histories, so no copy of the examples is kept longer than needed.
"""

from contextlib import suppress

import openai

from jobs.language_models.purchases import PurchaseRecord
from jobs.progress import say
from jobs.services.client import translated_errors
from jobs.services.errors import ServiceError
from jobs.services.retrying_client import RetryingClient


def delete_used_files(service: RetryingClient, purchases: PurchaseRecord) -> None:
    """Delete the uploaded files of all ended fine-tunings at the service, including files that earlier runs left.

    A file that can't be deleted is no reason to fail: ``ml.fine_tunes`` keeps its id, and the next fine-tuning tries
    again.
    """
    for used in purchases.find_used_files():
        try:
            with translated_errors(used.base_model, service.service), suppress(openai.NotFoundError):
                service.client.files.delete(used.file_id)
        except ServiceError as error:
            say(
                f"WARN: the training file {used.file_id} stays at {service.service} until the next fine-tuning: {error}"
            )
        else:
            purchases.update_fine_tune(used.fine_tune_id, **{used.column: None})
