"""Lines for people about the runs of jobs."""

import pytest

from jobs.commands.terminal import embed_summary_line, job_summary_line


def embed_summary(rows_in: int, rows_out: int, **detail: object) -> dict:
    detail = {"embedding_model": "fake", "failed": 0, "tokens": 0, **detail}
    return {"job": "embed", "status": "done", "rows_in": rows_in, "rows_out": rows_out, "cost": 0.0, "detail": detail}


@pytest.mark.parametrize(
    ("rows_in", "rows_out", "under_way", "said"),
    [
        (0, 0, 0, "every text has a vector"),
        (5, 3, 0, "3 of 5 texts embedded"),
        (0, 7, 0, "7 texts embedded"),  # a batch of an earlier run has ended
        (2, 0, 9, "0 of 2 texts embedded, 9 texts under way in batches"),
        (0, 0, 9, "9 texts under way in batches"),
    ],
)
def test_a_line_about_embedding_counts_texts_of_batches_too(rows_in, rows_out, under_way, said):
    assert job_summary_line(embed_summary(rows_in, rows_out, under_way=under_way)) == said


def test_the_line_of_the_command_says_no_number_of_texts_that_is_smaller_than_that_of_vectors():
    assert embed_summary_line(embed_summary(0, 7)) == "embed: done: 7 texts embedded with fake"
    assert embed_summary_line(embed_summary(9, 7)) == "embed: done: 7 of 9 texts embedded with fake"
