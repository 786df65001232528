"""A fake of OpenAI's Batch API on this machine: it ends batches when a test says so, and misbehaves on purpose."""

import base64
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable

import numpy as np
from fake_openai import KEY, error, vector_of
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

# What may be wrong with the output line of a text. Lines of SPOILED hold no usable vector, but are charged for.
SPOILED = ["NaN", "zeros", "dimensions", "table", "null", "no vector", "broken", "page", "other id", "id that is none"]
ERRORS = {"400": "this text is not allowed", "500": "the model stumbled", "expired": "the window has closed"}

# What may go wrong with a request. With "made, …" the service does what it is asked, but its answer is lost.
FAULTS = ["500", "429", "time-out", "truncated", "made, 500", "made, time-out", "made, truncated", "made, a page"]


class FakeBatches:
    """The Batch API of a fake service, on the same server as its embeddings (:class:`FakeOpenAI`).

    Attributes
    ----------
    files : dict of str to bytes
    batches : dict of str to dict
        As the service shows them, by id, the oldest first.
    lines : dict of str to str
        Texts by what is wrong with their lines: one of SPOILED, of ERRORS, "missing", or "twice".
    faults : dict of str to list of str
        By kind of request (upload, create, list, retrieve, content), what goes wrong with the next ones; "cut off"
        ends a file's content in the middle.
    at : dict of str to callable
        By moment, what happens then: a request's kind when it comes, "upload, done" when that was done and before it
        is answered.
    paid, spoiled : Counter
        Texts by how often a right vector, or something else in its place, was made for them.
    asked : list of str
        The kind of each request.
    """

    def __init__(self, server: HTTPServer) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict] = {}
        self.lines: dict[str, str] = {}
        self.faults: dict[str, list[str]] = {}
        self.at: dict[str, Callable[[], None]] = {}
        self.paid: Counter[str] = Counter()
        self.spoiled: Counter[str] = Counter()
        self.asked: list[str] = []
        self.form = "base64"
        self.usage = True
        self.page = 2  # batches on one page of a list, however many the client asks for
        self.lock = threading.RLock()
        self.closing = threading.Event()
        for method, path, kind, act in [
            ("POST", "/v1/files", "upload", self._upload),
            ("GET", re.compile("/v1/files/[^/]+/content$"), "content", self._content),
            ("POST", "/v1/batches", "create", self._create),
            ("GET", "/v1/batches", "list", self._list),
            ("GET", re.compile("/v1/batches/[^/]+$"), "retrieve", self._retrieve),
        ]:
            server.expect_request(path, method=method).respond_with_handler(self._handler(kind, act))

    # --- what a test controls ---

    def texts(self, batch: dict) -> list[str]:
        """Return the texts of a batch."""
        return [text for _, text in self._inputs(batch)]

    def under_way(self) -> list[dict]:
        return [batch for batch in self.batches.values() if batch["status"] == "in_progress"]

    def end(self, status: str = "completed", reached: int | None = None, reason: str = "") -> None:
        """End all batches under way after so many texts (None: after all); a failed batch reaches no text."""
        with self.lock:
            for batch in self.under_way():
                self._end(batch, status, 0 if status == "failed" else reached, reason)

    def _end(self, batch: dict, status: str, reached: int | None, reason: str) -> None:
        batch["status"] = status
        if reason:
            batch["errors"] = {"object": "list", "data": [{"code": "invalid", "message": reason, "line": None}]}
        inputs = self._inputs(batch)
        reached = len(inputs) if reached is None else reached
        output, errors = [], []
        for place, (key, text) in enumerate(inputs):
            fault = self.lines.get(text, "") if place < reached else "expired"
            if fault in ERRORS:
                errors.append(self._error_line(key, fault))
            elif fault != "missing":
                (self.spoiled if fault in SPOILED else self.paid)[text] += 1
                output += [self._line(key, text, fault)] * (2 if fault == "twice" else 1)
        if status != "failed":  # a failed batch has no files
            random.Random(0).shuffle(output)
            batch["output_file_id"] = self._keep(output)
            batch["error_file_id"] = self._keep(errors)

    def _keep(self, lines: list[str]) -> str | None:
        if not lines:
            return None
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = "".join(line + "\n" for line in lines).encode()
        return file_id

    def _inputs(self, batch: dict) -> list[tuple[str, str]]:
        rows = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        return [(row["custom_id"], row["body"]["input"]) for row in rows]

    def _line(self, key: str, text: str, fault: str) -> str:
        vector = vector_of(text)
        if fault in ("NaN", "zeros"):
            vector = vector * np.float32(np.nan if fault == "NaN" else 0)
        if fault == "dimensions":
            vector = vector[:-1]
        spelt: object = base64.b64encode(vector.tobytes()).decode() if self.form == "base64" else vector.tolist()
        if fault == "table":  # a table with as many rows as the vector has dimensions
            spelt = [vector.tolist()] * len(vector)
        if fault == "null":
            spelt = None
        body = {"object": "list", "model": "fake", "data": [{"object": "embedding", "index": 0, "embedding": spelt}]}
        if fault == "no vector":
            body["data"] = []
        if self.usage:
            body["usage"] = {"prompt_tokens": 3, "total_tokens": 3}
        custom_id = {"other id": "0" * 64, "id that is none": [key]}.get(fault, key)
        answer = {"status_code": 200, "request_id": "request", "body": body}
        line = json.dumps({"id": "line", "custom_id": custom_id, "response": answer, "error": None})
        return {"broken": line[:-30], "page": "<html>welcome</html>"}.get(fault, line)

    def _error_line(self, key: str, fault: str) -> str:
        message = ERRORS[fault]
        row: dict = {"id": "line", "custom_id": key, "response": None, "error": None}
        if fault == "expired":
            row["error"] = {"code": "batch_expired", "message": message}
        else:
            body = {"error": {"message": message, "type": "error", "param": None, "code": None}}
            row["response"] = {"status_code": int(fault), "request_id": "request", "body": body}
        return json.dumps(row)

    # --- what the service does ---

    def _handler(self, kind: str, act: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def handle(request: Request) -> Response:
            with self.lock:
                self.asked.append(kind)
                fault = (self.faults.get(kind) or [""]).pop(0)
            self._reach(kind)
            if request.headers["Authorization"] != f"Bearer {KEY}" or fault == "401":
                return error(401, f"Incorrect API key provided: {KEY}.", "invalid_api_key")
            answer = Response()
            if fault in ("", "cut off") or fault.startswith("made, "):
                answer = act(request)
                self._reach(f"{kind}, done")
            return self._spoil(answer, fault.removeprefix("made, "))

        return handle

    def _reach(self, moment: str) -> None:
        if moment in self.at:
            self.at[moment]()

    def _spoil(self, answer: Response, fault: str) -> Response:
        if fault in ("400", "404", "429", "500"):
            return error(int(fault), f"the service says {fault}", **{"Retry-After-Ms": "10"})
        if fault == "time-out":
            self.closing.wait(1.0)
            return error(500, "too late")
        if fault == "truncated":
            return Response('{"id": "batch', 200, content_type="application/json")
        if fault == "a page":
            return Response("<html>welcome</html>", content_type="text/html")
        if fault == "cut off":
            whole = answer.get_data()
            answer.set_data(whole[: len(whole) // 2])
            answer.headers["Content-Length"] = str(len(whole))  # set last, since set_data sets this header too
        return answer

    def _upload(self, request: Request) -> Response:
        assert request.form["purpose"] == "batch"
        file = request.files["file"]
        with self.lock:
            file_id = f"file-{len(self.files)}"
            self.files[file_id] = file.read()
        size = len(self.files[file_id])
        return shown(
            {
                "id": file_id,
                "object": "file",
                "bytes": size,
                "created_at": 0,
                "filename": file.filename,
                "purpose": "batch",
                "status": "processed",
            }
        )

    def _content(self, request: Request) -> Response:
        return Response(self.files[request.path.split("/")[3]], content_type="application/octet-stream")

    def _create(self, request: Request) -> Response:
        asked = request.get_json()
        assert asked["endpoint"] == "/v1/embeddings"
        with self.lock:
            batch = {
                "id": f"batch-{len(self.batches)}",
                "object": "batch",
                "created_at": len(self.batches),
                "status": "in_progress",
                **asked,
            }
            self.batches[batch["id"]] = batch
        return shown(batch)

    def _list(self, request: Request) -> Response:
        newest_first = list(self.batches)[::-1]
        start = newest_first.index(request.args["after"]) + 1 if "after" in request.args else 0
        end = start + min(int(request.args["limit"]), self.page)
        data = [self.batches[batch_id] for batch_id in newest_first[start:end]]
        return shown({"object": "list", "data": data, "has_more": end < len(newest_first)})

    def _retrieve(self, request: Request) -> Response:
        return shown(self.batches[request.path.split("/")[3]])


def shown(body: dict) -> Response:
    return Response(json.dumps(body), content_type="application/json")
