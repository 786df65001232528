"""What was bought from a service of language models: ``ml.fine_tunes`` and ``ml.completions``."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection

FAILED = ("failed", "cancelled", "lost")  # statuses of fine-tunings that gave no model


@dataclass(frozen=True)
class FineTune:
    """A row of ``ml.fine_tunes``, as far as a run goes on from it."""

    fine_tune_id: str
    status: str
    job_id: str | None
    fine_tuned_model: str | None
    tokens: int


@dataclass(frozen=True)
class Completion:
    """The answers to one request, and what they cost in US dollars."""

    answers: list[str]
    prompt_tokens: int
    completion_tokens: int
    cost: float


@dataclass(frozen=True)
class Purchases:
    """Every statement is committed by itself, before the next thing is bought."""

    connection: Connection

    def fine_tune(self, recipe: str) -> FineTune | None:
        """Return the fine-tuning of a recipe that is under way or done, if there is one."""
        rows = self.connection.execute(
            "select fine_tune_id, status, job_id, fine_tuned_model, tokens from ml.fine_tunes "
            "where recipe = ? and status not in (select unnest(?)) order by created_at desc limit 1",
            [recipe, list(FAILED)],
        ).fetchall()
        return FineTune(*rows[0]) if rows else None

    def begin(self, recipe: str, base_model: str, examples: int, tokens: int) -> FineTune:
        """Write down a fine-tuning that the service will be asked for."""
        attempts = self.connection.execute("select count(*) from ml.fine_tunes where recipe = ?", [recipe]).fetchall()
        fine_tune_id = f"{recipe[:32]}-{attempts[0][0] + 1}"
        self.connection.execute(
            "insert into ml.fine_tunes (fine_tune_id, recipe, base_model, status, examples, tokens, created_at) "
            "values (?, ?, ?, 'preparing', ?, ?, ?)",
            [fine_tune_id, recipe, base_model, examples, tokens, now()],
        )
        return FineTune(fine_tune_id, "preparing", None, None, tokens)

    def note(self, fine_tune_id: str, **columns: Any) -> None:
        """Write down what has become known of a fine-tuning."""
        changes = ", ".join(f"{name} = ${name}" for name in columns)
        self.connection.execute(
            f"update ml.fine_tunes set {changes} where fine_tune_id = $fine_tune_id",  # noqa: S608 - our own names
            {**columns, "fine_tune_id": fine_tune_id},
        )

    def completions(self, hashes: Iterable[str]) -> dict[str, list[str]]:
        """Return the answers that are kept for some requests."""
        rows = self.connection.execute(
            "select request_hash, answers from ml.completions where request_hash in (select unnest(?::varchar[]))",
            [list(hashes)],
        ).fetchall()
        return {request_hash: json.loads(answers) for request_hash, answers in rows}

    def has_answers(self, language_model: str) -> bool:
        """Tell whether answers of a language model are kept."""
        query = "select 1 from ml.completions where language_model = ? limit 1"
        return bool(self.connection.execute(query, [language_model]).fetchall())

    def keep(self, request_hash: str, language_model: str, bought: Completion) -> None:
        """Write down the answers to a request."""
        self.connection.execute(
            "insert or replace into ml.completions values (?, ?, ?, ?, ?, ?, ?)",
            [
                request_hash, language_model, json.dumps(bought.answers), bought.prompt_tokens,
                bought.completion_tokens, bought.cost, now(),
            ],
        )  # fmt: skip
