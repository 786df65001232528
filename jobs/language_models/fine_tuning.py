"""One fine-tuning, from the files of its examples to its model's name; begun, killed and gone on with, made once.

A job whose creation was asked for, and whose answer was lost, is found again by a name of ours in its metadata. Files,
which cost nothing, are found by their names.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from jobs.errors import NextmartError, redact
from jobs.language_models.purchases import FAILED, FineTune, Purchases
from jobs.language_models.service import Service
from jobs.progress import say
from jobs.warehouse.clock import now

NAME = "nextmart_fine_tune"  # in a job's metadata
POLL_SECONDS = 30.0


@dataclass(frozen=True)
class FineTuning:
    """A row of ``ml.fine_tunes``, and what the service makes of it."""

    service: Service
    ledger: Purchases
    row: FineTune
    base: str

    def exists(self) -> bool:
        """Look for the job among all that the service keeps, the newest first."""
        return self.service.ask(self.base, lambda: self._find() is not None)

    def create(self, files: Mapping[str, bytes], epochs: int, seed: int) -> tuple[str, str]:
        """Upload examples, by their part (training, validation), and have the job made, unless it is there.

        Returns
        -------
        The job's id and its status.
        """
        file_ids = {}
        for part, content in files.items():
            if content:
                file_ids[f"{part}_file"] = self._upload(part, content)
                self.ledger.note(self.row.fine_tune_id, **{f"{part}_file_id": file_ids[f"{part}_file"]})

        def create() -> tuple[str, str]:
            job = self._find() or self.service.client.fine_tuning.jobs.create(
                model=self.base,
                method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": epochs}}},
                metadata={NAME: self.row.fine_tune_id},
                suffix="nextmart",
                seed=seed,
                **file_ids,
            )
            return str(job.id), str(job.status)

        return self.service.ask(self.base, create)

    def wait(self, job_id: str, price: float) -> str:
        """Wait for a job's end, write down what it cost (``price`` a million tokens), and return its model's name.

        Raises
        ------
        NextmartError
            If the job fails, is cancelled or is gone.
        """
        status = self.row.status
        while True:
            job, said = self._retrieve(job_id)
            if said != status:
                status = said
                say(f"llmseqprompt: the fine-tuning {job_id} is {status}")
            if status == "succeeded":
                tokens = job.trained_tokens or self.row.tokens
                self.ledger.note(
                    self.row.fine_tune_id, status=status, fine_tuned_model=job.fine_tuned_model, tokens=tokens,
                    cost=tokens * price / 1e6, ended_at=now(),
                )  # fmt: skip
                return str(job.fine_tuned_model)
            if status in FAILED:
                message = redact((job.error.message if job.error else "") or "the service gives no reason")
                self.ledger.note(self.row.fine_tune_id, status=status, error=message, ended_at=now())
                raise NextmartError(
                    f"the fine-tuning {job_id} of {self.base} is {status}: {message}. Mend that, then run again: "
                    "another one will be made"
                )
            self.ledger.note(self.row.fine_tune_id, status=status)
            time.sleep(POLL_SECONDS)

    def _retrieve(self, job_id: str) -> tuple[Any, str]:
        def retrieve() -> tuple[Any, str]:
            job = self.service.client.fine_tuning.jobs.retrieve(job_id)
            return job, str(job.status)

        try:
            return self.service.ask(self.base, retrieve)
        except NextmartError as error:
            # nor may it be in the list: a wrong address answers so too, and a job once given up is bought again
            if isinstance(error.__cause__, openai.NotFoundError) and not self.exists():
                message = f"the service doesn't know the fine-tuning {job_id} (any more)"
                self.ledger.note(self.row.fine_tune_id, status="lost", error=message, ended_at=now())
                raise NextmartError(f"{message}: run again, another one will be made") from error
            raise

    def _find(self) -> Any:
        for job in self.service.client.fine_tuning.jobs.list(limit=100):
            if (job.metadata or {}).get(NAME) == self.row.fine_tune_id:
                return job
        return None

    def _upload(self, part: str, content: bytes) -> str:
        name = f"{self.row.fine_tune_id}-{part}.jsonl"

        def upload() -> str:
            for file in self.service.client.files.list(purpose="fine-tune"):
                if file.filename == name:
                    return str(file.id)
            return str(self.service.client.files.create(file=(name, content), purpose="fine-tune").id)

        return self.service.ask(self.base, upload)
