"""One fine-tuning by OpenAI or a compatible service: upload the examples, create a job, and wait until the job ends.

If nextmart is killed, its next run continues the fine-tuning, and never creates a second job. If a job was requested
but the service's response was lost, the job is found by its metadata, which hold nextmart's ``fine_tune_id``.
Uploaded files, which cost nothing, are found by their file names.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import openai

from jobs.errors import NextmartError, redact
from jobs.language_models.purchases import FAILED_STATUSES, FineTune, PurchaseStore
from jobs.progress import say
from jobs.services.errors import ActionNeededError, RequestRefusedError
from jobs.services.openai_client import translate_openai_errors
from jobs.services.retrying_client import RetryingClient
from jobs.warehouse.clock import now

METADATA_KEY = "nextmart_fine_tune"  # the key of nextmart's ``fine_tune_id`` in a job's metadata
POLL_SECONDS = 30.0  # seconds between two checks of a running job


@dataclass(frozen=True)
class FineTuning:
    """A fine-tuning job at OpenAI or a compatible service, and the job's row in ``ml.fine_tunes``.

    Attributes
    ----------
    retrying_client : RetryingClient
    purchase_store : PurchaseStore
        Reads and writes ``ml.fine_tunes``, the record of fine-tunings that nextmart has paid for.
    fine_tune_row : FineTune
        The job's row in ``ml.fine_tunes`` as it was when nextmart's run began.
    base_model : str
        The service's name of the model that is fine-tuned.
    """

    retrying_client: RetryingClient
    purchase_store: PurchaseStore
    fine_tune_row: FineTune
    base_model: str

    def job_exists(self) -> bool:
        """Tell whether the fine-tuning service has the job."""
        return self.retrying_client.ask(self.base_model, lambda: self._find_job() is not None)

    def create_job(self, content_of_subset: Mapping[str, bytes], epochs: int, seed: int) -> tuple[str, str]:
        """Upload the examples and create the fine-tuning job, unless the service has that job already.

        If the service refuses to create the job, the row is recorded as failed.

        Parameters
        ----------
        content_of_subset : mapping of str to bytes
            The content of each file, as JSON Lines: the training examples (key ``training``) and the held-out examples
            (key ``validation``). An empty file is not uploaded.

        Returns
        -------
        job_id, status : str

        Raises
        ------
        ServiceError
            If the fine-tuning service fails or refuses the job.
        """
        file_ids = {}
        for subset, content in content_of_subset.items():
            if content:
                file_ids[f"{subset}_file"] = self._upload_examples(subset, content)
                self._update_row(**{f"{subset}_file_id": file_ids[f"{subset}_file"]})

        def find_or_create() -> tuple[str, str]:
            job = self._find_job()
            if job is None:
                with self._refusal_recorded():
                    job = self.retrying_client.client.fine_tuning.jobs.create(
                        model=self.base_model,
                        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": epochs}}},
                        metadata={METADATA_KEY: self.fine_tune_row.fine_tune_id},
                        suffix="nextmart",
                        seed=seed,
                        **file_ids,
                    )
            return str(job.id), str(job.status)

        return self.retrying_client.ask(self.base_model, find_or_create)

    def wait_for_job(self, job_id: str, training_price: float) -> str:
        """Wait until a fine-tuning job has ended, record its cost, and return the name of the fine-tuned model.

        Parameters
        ----------
        training_price : float
            The price of fine-tuning, in US dollars a million tokens.

        Raises
        ------
        NextmartError
            If the job fails, is cancelled, or is unknown to the fine-tuning service.
        """
        last_status = self.fine_tune_row.status
        while True:
            job, status = self._retrieve_job(job_id)
            if status != last_status:
                say(f"llmseqprompt: the fine-tuning {job_id} is {status}")
                last_status = status
            self._record_status(job, status, training_price)
            if status == "succeeded":
                return str(job.fine_tuned_model)
            if status in FAILED_STATUSES:
                raise NextmartError(
                    f"the fine-tuning {job_id} of {self.base_model} is {status}: {_failure_reason(job)}. Mend that, "
                    "then run again: another one will be made"
                )
            time.sleep(POLL_SECONDS)

    def record_end(self, training_price: float) -> None:
        """Record the end of a fine-tuning that an earlier run left, if it has ended, or if the service has no such job.

        Parameters
        ----------
        training_price : float
            The price of fine-tuning, in US dollars a million tokens.

        Raises
        ------
        NextmartError
            If the fine-tuning service fails, or no longer knows the job.
        """
        job_id = self.fine_tune_row.job_id
        if job_id:
            job, _ = self._retrieve_job(job_id)
        else:
            job = self.retrying_client.ask(self.base_model, self._find_job)
        if job is None:
            # the run may have ended before it recorded the ids of its files
            for subset in ("training", "validation"):
                file_id = self.retrying_client.ask(self.base_model, partial(self._find_file, subset))
                self._update_row(**{f"{subset}_file_id": file_id})
            self._update_row(status="lost", error="the service has no job of this fine-tuning", ended_at=now())
        else:
            self._update_row(job_id=str(job.id))
            self._record_status(job, str(job.status), training_price)

    def _record_status(self, job: Any, status: str, training_price: float) -> None:
        """Record the status of a job, and, if it has ended, its model and cost, or why it failed."""
        changed_columns: dict[str, Any] = {"status": status}
        if status == "succeeded":
            tokens = job.trained_tokens or self.fine_tune_row.training_tokens
            changed_columns |= {"fine_tuned_model": job.fine_tuned_model, "tokens": tokens}
            changed_columns |= {"cost": tokens * training_price / 1e6, "ended_at": now()}
        elif status in FAILED_STATUSES:
            changed_columns |= {"error": _failure_reason(job), "ended_at": now()}
        self._update_row(**changed_columns)

    @contextmanager
    def _refusal_recorded(self) -> Iterator[None]:
        """Record the fine-tuning as failed if the service refuses to create its job; after other errors it may exist.

        A refusal is an answer, so no job exists. Its training files can be deleted, and the next run may try again.
        """
        try:
            with translate_openai_errors(self.base_model, self.retrying_client.service_name):
                yield
        except (RequestRefusedError, ActionNeededError) as error:
            self._update_row(status="failed", error=redact(str(error)), ended_at=now())
            raise

    def _update_row(self, **changed_columns: Any) -> None:
        self.purchase_store.update_fine_tune(self.fine_tune_row.fine_tune_id, **changed_columns)

    def _retrieve_job(self, job_id: str) -> tuple[Any, str]:
        """Look up a fine-tuning job at the service, and return the job and its status."""

        def request_job() -> tuple[Any, str]:
            job = self.retrying_client.client.fine_tuning.jobs.retrieve(job_id)
            return job, str(job.status)

        try:
            return self.retrying_client.ask(self.base_model, request_job)
        except NextmartError as error:
            # A wrong ``OPENAI_BASE_URL`` gives "not found" too. So a job counts as lost only if the service's list of
            # jobs lacks it as well: the next run creates, and pays for, a lost job again.
            if isinstance(error.__cause__, openai.NotFoundError) and not self.job_exists():
                message = f"the service doesn't know the fine-tuning {job_id} (any more)"
                self._update_row(status="lost", error=message, ended_at=now())
                raise NextmartError(f"{message}: run again, another one will be made") from error
            raise

    def _find_job(self) -> Any:
        """Return the service's newest job whose metadata holds the row's ``fine_tune_id``; None if there is none."""
        for job in self.retrying_client.client.fine_tuning.jobs.list(limit=100):
            if (job.metadata or {}).get(METADATA_KEY) == self.fine_tune_row.fine_tune_id:
                return job
        return None

    def _upload_examples(self, subset: str, content: bytes) -> str:
        """Upload a file of examples, unless the service has that file already; return the file's id at the service."""

        def find_or_upload() -> str:
            file = (self._file_name(subset), content)
            return self._find_file(subset) or str(
                self.retrying_client.client.files.create(file=file, purpose="fine-tune").id
            )

        return self.retrying_client.ask(self.base_model, find_or_upload)

    def _find_file(self, subset: str) -> str | None:
        """Return the id of an uploaded file of examples; None if the service has no such file."""
        for file in self.retrying_client.client.files.list(purpose="fine-tune"):
            if file.filename == self._file_name(subset):
                return str(file.id)
        return None

    def _file_name(self, subset: str) -> str:
        return f"{self.fine_tune_row.fine_tune_id}-{subset}.jsonl"


def _failure_reason(job: Any) -> str:
    """Return why a job failed, as the service says it, without secrets."""
    return redact((job.error.message if job.error else "") or "the service gives no reason")
