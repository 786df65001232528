"""One fine-tuning at OpenAI: upload the examples, create a job, and wait until it has ended.

The next run continues a run that was killed, and no job is created twice. If a job was requested but the service's
answer was lost, the job is found again by nextmart's name in its metadata; uploaded files, which cost nothing, are
found by their file names.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from jobs.errors import NextmartError, redact
from jobs.language_models.purchases import FAILED_STATUSES, FineTune, Purchases
from jobs.progress import say
from jobs.services.retrying_client import RetryingClient
from jobs.warehouse.clock import now

METADATA_KEY = "nextmart_fine_tune"  # the metadata key under which a job holds nextmart's ``fine_tune_id``
POLL_SECONDS = 30.0  # seconds between two checks of a running job


@dataclass(frozen=True)
class FineTuning:
    """A fine-tuning job at the service, and its row in ``ml.fine_tunes``.

    Attributes
    ----------
    service : RetryingClient
    purchases : Purchases
        The record of purchases, which holds the row.
    row : FineTune
        The job's row as it was when the run began.
    base_model : str
        The service's name of the model that is fine-tuned.
    """

    service: RetryingClient
    purchases: Purchases
    row: FineTune
    base_model: str

    def exists(self) -> bool:
        """Tell whether the service has the fine-tuning job."""
        return self.service.ask(self.base_model, lambda: self._find() is not None)

    def create(self, files: Mapping[str, bytes], epochs: int, seed: int) -> tuple[str, str]:
        """Upload the files of examples and create the fine-tuning job, unless the service has it already.

        Parameters
        ----------
        files : part -> content
            Examples as JSON Lines for the parts ``training`` and ``validation``; an empty file is not uploaded.

        Returns
        -------
        job_id, status : str

        Raises
        ------
        ServiceError
            If the service fails or refuses the job.
        """
        file_ids = {}
        for part, content in files.items():
            if content:
                file_ids[f"{part}_file"] = self._upload(part, content)
                self._record(**{f"{part}_file_id": file_ids[f"{part}_file"]})

        def create() -> tuple[str, str]:
            job = self._find() or self.service.client.fine_tuning.jobs.create(
                model=self.base_model,
                method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": epochs}}},
                metadata={METADATA_KEY: self.row.fine_tune_id},
                suffix="nextmart",
                seed=seed,
                **file_ids,
            )
            return str(job.id), str(job.status)

        return self.service.ask(self.base_model, create)

    def wait(self, job_id: str, price: float) -> str:
        """Wait until a fine-tuning job has ended, record its cost, and return the name of the fine-tuned model.

        Parameters
        ----------
        price : float
            US dollars a million tokens.

        Raises
        ------
        NextmartError
            If the job fails, is cancelled, or is unknown to the service.
        """
        last_status = self.row.status
        while True:
            job, status = self._retrieve(job_id)
            if status != last_status:
                say(f"llmseqprompt: the fine-tuning {job_id} is {status}")
                last_status = status
            if status == "succeeded":
                model, tokens = job.fine_tuned_model, job.trained_tokens or self.row.tokens
                cost = tokens * price / 1e6
                self._record(status=status, fine_tuned_model=model, tokens=tokens, cost=cost, ended_at=now())
                return str(model)
            if status in FAILED_STATUSES:
                message = redact((job.error.message if job.error else "") or "the service gives no reason")
                self._record(status=status, error=message, ended_at=now())
                raise NextmartError(
                    f"the fine-tuning {job_id} of {self.base_model} is {status}: {message}. Mend that, then run again: "
                    "another one will be made"
                )
            self._record(status=status)
            time.sleep(POLL_SECONDS)

    def _record(self, **columns: Any) -> None:
        self.purchases.update_fine_tune(self.row.fine_tune_id, **columns)

    def _retrieve(self, job_id: str) -> tuple[Any, str]:
        """Return a fine-tuning job and its status, as the service reports them."""

        def retrieve() -> tuple[Any, str]:
            job = self.service.client.fine_tuning.jobs.retrieve(job_id)
            return job, str(job.status)

        try:
            return self.service.ask(self.base_model, retrieve)
        except NextmartError as error:
            # A wrong ``OPENAI_BASE_URL`` gives "not found" too. So a job counts as lost only if it is absent from the
            # service's list as well: a lost job is created, and paid for, again.
            if isinstance(error.__cause__, openai.NotFoundError) and not self.exists():
                message = f"the service doesn't know the fine-tuning {job_id} (any more)"
                self._record(status="lost", error=message, ended_at=now())
                raise NextmartError(f"{message}: run again, another one will be made") from error
            raise

    def _find(self) -> Any:
        """Return the newest job at the service whose metadata holds this ``fine_tune_id``; None if there is none."""
        for job in self.service.client.fine_tuning.jobs.list(limit=100):
            if (job.metadata or {}).get(METADATA_KEY) == self.row.fine_tune_id:
                return job
        return None

    def _upload(self, part: str, content: bytes) -> str:
        """Upload a file of examples, unless the service has it already; return the service's id of the file."""
        name = f"{self.row.fine_tune_id}-{part}.jsonl"

        def upload() -> str:
            for file in self.service.client.files.list(purpose="fine-tune"):
                if file.filename == name:
                    return str(file.id)
            return str(self.service.client.files.create(file=(name, content), purpose="fine-tune").id)

        return self.service.ask(self.base_model, upload)
