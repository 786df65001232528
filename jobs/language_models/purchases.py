"""The record of paid fine-tunings and answers of language models: ``ml.fine_tunes`` and ``ml.completions``."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection

FAILED_STATUSES = ("failed", "cancelled", "lost")  # the statuses of a fine-tuning that ended without a model


@dataclass(frozen=True)
class FineTune:
    """A row of ``ml.fine_tunes``: the columns that a run needs to continue a fine-tuning.

    Attributes
    ----------
    fine_tune_id : str
        nextmart's name of the fine-tuning, which the service keeps in the job's metadata.
    status : str
        ``preparing`` until the service has the job; then the status that the service reports; ``lost`` if the service
        no longer has the job.
    job_id : str or None
        The service's id of the fine-tuning job; None until it is known.
    fine_tuned_model : str or None
        The service's name of the resulting model; None until the job has succeeded.
    training_tokens : int
        The number of training tokens over all epochs: the planned number, and after success the number charged.
    """

    fine_tune_id: str
    status: str
    job_id: str | None
    fine_tuned_model: str | None
    training_tokens: int


@dataclass(frozen=True)
class UsedTrainingFile:
    """A file of training examples that was uploaded to the service for a fine-tuning that has ended.

    The column ``file_id_column`` of ``ml.fine_tunes`` holds the file's id.
    """

    fine_tune_id: str
    base_model: str
    file_id_column: str
    file_id: str


@dataclass(frozen=True)
class Completion:
    """A language model's answers to one question, and their cost.

    Attributes
    ----------
    answers : list of str
    prompt_tokens, completion_tokens : int
        The numbers of tokens of the question and of all its answers.
    cost_usd : float
        The cost of the question and its answers, in US dollars.
    """

    answers: list[str]
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float


@dataclass(frozen=True)
class PurchaseStore:
    """Reads and writes ``ml.fine_tunes`` and ``ml.completions``; each write is committed before the next purchase."""

    connection: Connection

    def find_fine_tune(self, recipe_hash: str) -> FineTune | None:
        """Return the newest fine-tuning with these inputs that is under way or has succeeded; None if there is none.

        Parameters
        ----------
        recipe_hash : str
            A hash of a fine-tuning's inputs: examples, held-out examples, base model, number of epochs and seed.
        """
        rows = self.connection.execute(
            "select fine_tune_id, status, job_id, fine_tuned_model, tokens from ml.fine_tunes "
            "where recipe = ? and status not in (select unnest(?)) order by rowid desc limit 1",
            [recipe_hash, list(FAILED_STATUSES)],
        ).fetchall()
        return FineTune(*rows[0]) if rows else None

    def find_open_fine_tunes(self, base_model: str, recipe_hash: str) -> list[FineTune]:
        """Return the fine-tunings of a base model, of other inputs, whose end is not recorded; the oldest come first.

        Parameters
        ----------
        recipe_hash : str
            The hash of the inputs whose fine-tuning is left out.
        """
        rows = self.connection.execute(
            "select fine_tune_id, status, job_id, fine_tuned_model, tokens from ml.fine_tunes "
            "where base_model = ? and recipe <> ? and ended_at is null order by rowid",
            [base_model, recipe_hash],
        ).fetchall()
        return [FineTune(*row) for row in rows]

    def add_fine_tune(
        self, recipe_hash: str, base_model: str, example_count: int, tokens_over_all_epochs: int
    ) -> FineTune:
        """Insert a planned fine-tuning into ``ml.fine_tunes``, before the service is asked to create the job."""
        attempts = self.connection.execute(
            "select count(*) from ml.fine_tunes where recipe = ?", [recipe_hash]
        ).fetchall()
        fine_tune_id = f"{recipe_hash[:32]}-{attempts[0][0] + 1}"
        self.connection.execute(
            "insert into ml.fine_tunes (fine_tune_id, recipe, base_model, status, examples, tokens, created_at) "
            "values (?, ?, ?, 'preparing', ?, ?, ?)",
            [fine_tune_id, recipe_hash, base_model, example_count, tokens_over_all_epochs, now()],
        )
        return FineTune(fine_tune_id, "preparing", None, None, tokens_over_all_epochs)

    def update_fine_tune(self, fine_tune_id: str, **changed_columns: Any) -> None:
        """Set columns of a fine-tuning's row in ``ml.fine_tunes`` to the values of the keyword arguments."""
        changes = ", ".join(f"{name} = ${name}" for name in changed_columns)
        self.connection.execute(
            f"update ml.fine_tunes set {changes} where fine_tune_id = $fine_tune_id",  # noqa: S608 - column names from nextmart's own code
            {**changed_columns, "fine_tune_id": fine_tune_id},
        )

    def find_used_training_files(self) -> list[UsedTrainingFile]:
        """Return the uploaded files of fine-tunings that have ended, the oldest fine-tuning first."""
        rows = self.connection.execute(
            "select fine_tune_id, base_model, used_column, file_id from ("
            "unpivot (from ml.fine_tunes where ended_at is not null) on training_file_id, validation_file_id "
            "into name used_column value file_id) order by created_at, file_id"
        ).fetchall()
        return [UsedTrainingFile(*row) for row in rows]

    def find_answers(self, request_hashes: Iterable[str]) -> dict[str, list[str]]:
        """Return the recorded answers to requests, by request hash; requests without recorded answers are absent."""
        rows = self.connection.execute(
            "select request_hash, answers from ml.completions where request_hash in (select unnest(?::varchar[]))",
            [list(request_hashes)],
        ).fetchall()
        return {request_hash: json.loads(answers) for request_hash, answers in rows}

    def has_answers(self, language_model_name: str) -> bool:
        """Tell whether at least one answer of the language model with this name is recorded."""
        query = "select 1 from ml.completions where language_model = ? limit 1"
        return bool(self.connection.execute(query, [language_model_name]).fetchall())

    def add_completion(self, request_hash: str, language_model_name: str, completion: Completion) -> None:
        """Record a language model's answers to one question in ``ml.completions``."""
        row = [
            request_hash,
            language_model_name,
            json.dumps(completion.answers),
            completion.prompt_tokens,
            completion.completion_tokens,
            completion.cost_usd,
            now(),
        ]
        self.connection.execute("insert or replace into ml.completions values (?, ?, ?, ?, ?, ?, ?)", row)
