"""A fake of OpenAI's fine-tuning and chat on this machine: it counts what it sells, and misbehaves on purpose."""

import json
import re

from fake_batches import FakeBatches, shown
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

BASE = "gpt-3.5-turbo-1106"


def names(user: str) -> list[str]:
    return [json.loads(line) for line in user.splitlines() if line.startswith('"')]


class FakeFineTuning(FakeBatches):
    """A fake service whose models learn which name follows which other name, and answer with it.

    ``faults`` and ``at`` know the kinds files, upload, delete, jobs, create, job, chat.

    Attributes
    ----------
    jobs : dict of str to dict
        As the service shows them; each moves on by one of ``course`` whenever it is asked for.
    paid : Counter
        How often each job's examples were learnt, and each question was answered.
    questions : list of dict
        The body of each request for answers.
    """

    def __init__(self, server: HTTPServer) -> None:
        super().__init__(server)
        self.names: dict[str, str] = {}
        self.jobs: dict[str, dict] = {}
        self.questions: list[dict] = []
        self.deleted: list[str] = []  # ids of files that are no longer listed; what they taught stays learnt
        self.course = ["validating_files", "running", "succeeded"]
        self.error = None
        self.answers = 0  # how many answers fewer than asked for the service gives
        self.refuses = ""  # questions that hold this name are refused
        for method, path, kind, act in [
            ("GET", "/v1/files", "files", self._files),
            ("DELETE", re.compile("/v1/files/[^/]+$"), "delete", self._delete),
            ("POST", "/v1/fine_tuning/jobs", "create", self._create_job),
            ("GET", "/v1/fine_tuning/jobs", "jobs", self._jobs),
            ("GET", re.compile("/v1/fine_tuning/jobs/[^/]+$"), "job", self._job),
            ("POST", "/v1/chat/completions", "chat", self._chat),
        ]:
            server.expect_request(path, method=method).respond_with_handler(self._handler(kind, act))

    def forget(self) -> None:
        for kept in (self.files, self.names, self.jobs, self.questions, self.deleted, self.paid, self.asked):
            kept.clear()

    def examples(self, job: dict, part: str = "training_file") -> list[list[str]]:
        """Return the messages of each example of a job."""
        lines = self.files[job[part]].decode().splitlines()
        return [[message["content"] for message in json.loads(line)["messages"]] for line in lines]

    def _upload(self, request: Request) -> Response:
        assert request.form["purpose"] == "fine-tune"
        file = request.files["file"]
        with self.lock:
            file_id = f"file-{len(self.files)}"
            self.files[file_id], self.names[file_id] = file.read(), file.filename
        return shown(self._shown_file(file_id))

    def _shown_file(self, file_id: str) -> dict:
        return {
            "id": file_id,
            "object": "file",
            "bytes": len(self.files[file_id]),
            "created_at": 0,
            "filename": self.names[file_id],
            "purpose": "fine-tune",
            "status": "processed",
        }

    def _files(self, request: Request) -> Response:
        assert request.args["purpose"] == "fine-tune"
        kept = [self._shown_file(one) for one in self.files if one not in self.deleted]
        return shown({"object": "list", "data": kept, "has_more": False})

    def _delete(self, request: Request) -> Response:
        file_id = request.path.split("/")[3]
        running = [job for job in self.jobs.values() if job["status"] not in ("succeeded", "failed", "cancelled")]
        assert not [job for job in running if file_id in (job["training_file"], job.get("validation_file"))]
        self.deleted.append(file_id)
        return shown({"id": file_id, "object": "file", "deleted": True})

    def _create_job(self, request: Request) -> Response:
        asked = request.get_json()
        with self.lock:
            number = len(self.jobs)
            job = {
                "id": f"ftjob-{number}",
                "object": "fine_tuning.job",
                "created_at": number,
                "status": "queued",
                "hyperparameters": {},
                "result_files": [],
                "trained_tokens": None,
                "fine_tuned_model": None,
                "organization_id": "org",
                "error": None,
                "course": list(self.course),
                **asked,
            }
            self.jobs[job["id"]] = job
            self.paid[f"fine-tuning of {self.files[job['training_file']].decode()}"] += 1
        return shown(job)

    def _jobs(self, request: Request) -> Response:
        newest_first = list(self.jobs)[::-1]
        start = newest_first.index(request.args["after"]) + 1 if "after" in request.args else 0
        data = [self.jobs[job_id] for job_id in newest_first[start : start + self.page]]
        return shown({"object": "list", "data": data, "has_more": start + self.page < len(newest_first)})

    def _job(self, request: Request) -> Response:
        job = self.jobs[request.path.split("/")[4]]
        with self.lock:
            job["status"] = job["course"].pop(0) if job["course"] else job["status"]
            job["error"] = self.error
            if job["status"] == "succeeded":
                job["trained_tokens"], job["fine_tuned_model"] = 1000, f"ft:{job['model']}:nextmart:{job['id']}"
        return shown(job)

    def _chat(self, request: Request) -> Response:
        asked = request.get_json()
        self.questions.append(asked)
        question = asked["messages"][-1]["content"]
        (job,) = [job for job in self.jobs.values() if job["fine_tuned_model"] == asked["model"]]
        if self.refuses and self.refuses in question:
            return self._spoil(Response(), "400")
        learnt = {names(user)[-1]: answer for _, user, answer in self.examples(job)}
        with self.lock:
            self.paid[f"answers to {question}"] += 1
        answer = learnt.get(names(question)[-1], "")
        choices = [
            {"index": place, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}
            for place in range(asked["n"] - self.answers)
        ]
        usage = {"prompt_tokens": 100, "completion_tokens": 10 * len(choices), "total_tokens": 0}
        return shown(
            {
                "id": "chat",
                "object": "chat.completion",
                "created": 0,
                "model": asked["model"],
                "choices": choices,
                "usage": usage if self.usage else None,
            }
        )
