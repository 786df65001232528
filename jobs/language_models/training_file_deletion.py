"""Deletion of training files that were uploaded to the service, once their fine-tuning has ended.

The examples are made from visitors' histories, so no copy of the examples is kept longer than needed.
"""

from contextlib import suppress

import openai

from jobs.language_models.purchases import PurchaseStore
from jobs.progress import say
from jobs.services.errors import ServiceError
from jobs.services.openai_client import translate_openai_errors
from jobs.services.retrying_client import RetryingClient


def delete_used_training_files(retrying_client: RetryingClient, purchase_store: PurchaseStore) -> None:
    """Delete the files that were uploaded for fine-tunings that have ended, in this run or an earlier one.

    A failed deletion only gives a warning: ``ml.fine_tunes`` keeps the file's id, and the next fine-tuning tries again.
    """
    for used in purchase_store.find_used_training_files():
        try:
            with translate_openai_errors(used.base_model, retrying_client.service_name), suppress(openai.NotFoundError):
                retrying_client.client.files.delete(used.file_id)
        except ServiceError as error:
            say(
                f"WARN: the training file {used.file_id} stays at {retrying_client.service_name} until the next "
                f"fine-tuning: {error}"
            )
        else:
            purchase_store.update_fine_tune(used.fine_tune_id, **{used.file_id_column: None})
