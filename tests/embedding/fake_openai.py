"""A fake of OpenAI's embeddings endpoint on this machine: it counts what it sells, and misbehaves on purpose."""

import base64
import hashlib
import json
import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

KEY = "sk-planted-0123456789"
DIMENSIONS = 4

# What may go wrong with one request. Faults of SPOILED are in the answer, so they are charged for.
FAULTS = ["429", "429 retry-after", "500", "503", "time-out", "hang", "reset", "cut off"]
SPOILED = ["truncated", "short", "doubled", "dimensions", "NaN", "zeros", "other keys", "a page"]


def vector_of(text: str, dimensions: int = DIMENSIONS) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:dimensions], np.uint8).astype(np.float32) + 1


def error(status: int, message: str, code: str | None = None, **headers: str) -> Response:
    body = json.dumps({"error": {"message": message, "type": "error", "param": None, "code": code}})
    return Response(body, status, headers, content_type="application/json")


class FakeOpenAI:
    """The embeddings endpoint of a fake service.

    Attributes
    ----------
    faults : callable
        Given a request's texts, names what goes wrong with it; None for nothing.
    poison : set of str
        Texts for which a whole request is refused (400).
    cursed : set of str
        Texts whose own vector is the wrong one where one of an answer's is.
    paid, spoiled : Counter
        Texts by how often a right answer, or a wrong one, was sent for them.
    asked : list
        The texts of each request for embeddings.
    """

    def __init__(self, server: HTTPServer, dimensions: int = DIMENSIONS) -> None:
        self.server = server
        self.dimensions = dimensions
        self.faults: Callable[[list[str]], str | None] = lambda texts: None
        self.poison: set[str] = set()
        self.cursed: set[str] = set()
        self.paid: Counter[str] = Counter()
        self.spoiled: Counter[str] = Counter()
        self.asked: list[list[str]] = []
        self.bodies: list[dict] = []
        self.delay = 0.0
        self.headers: dict[str, str] = {}
        self.form: str = "base64"
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        server.expect_request("/v1/embeddings", method="POST").respond_with_handler(self._embeddings)

    def in_turn(self, *faults: str | None) -> None:
        """Spoil the first requests with these faults (None for no fault); all later requests are answered."""
        left = list(faults)
        self.faults = lambda texts: left.pop(0) if left else None

    def _embeddings(self, request: Request) -> Response:
        body = request.get_json()
        texts = body["input"]
        with self.lock:
            self.asked.append(texts)
            self.bodies.append(body)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            fault = self.faults(texts)
        try:
            return self._answer(request, texts, fault)
        finally:
            with self.lock:
                self.under_way -= 1

    def _answer(self, request: Request, texts: list[str], fault: str | None) -> Response:
        if request.headers["Authorization"] != f"Bearer {KEY}" or fault == "401":
            return error(401, f"Incorrect API key provided: {KEY}.", "invalid_api_key")
        if fault == "429":
            return error(429, "RateLimits limit reached", "rate_limit_exceeded")
        if fault == "429 retry-after":
            return error(429, "RateLimits limit reached", "rate_limit_exceeded", **{"Retry-After-Ms": "50"})
        if fault == "quota":
            return error(429, "You exceeded your current quota", "insufficient_quota")
        if fault in ("400", "404", "500", "503"):
            return error(int(fault), f"the service says {fault}")
        if fault in ("time-out", "hang"):
            self.closing.wait(0.6 if fault == "time-out" else 30.0)
            return error(500, "too late")
        if fault == "reset":
            connection = request.environ["werkzeug.socket"]
            connection.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER: close with a reset
            os.close(
                connection.detach()
            )  # close() would not reset the connection, since the server's own files keep the socket open
            return Response()
        if self.poison & {*texts}:
            return error(400, "this text is not allowed")
        time.sleep(self.delay)
        with self.lock:
            (self.spoiled if fault in SPOILED else self.paid).update(texts)
        answer = self._body(texts, fault, request.get_json().get("dimensions", self.dimensions))
        if fault == "a page":
            return Response("<html>welcome</html>", content_type="text/html")
        if fault == "cut off":  # the connection ends before the answer does, so nothing is charged
            with self.lock:
                self.paid.subtract(texts)
            half = Response(answer[:40], content_type="application/json")
            half.headers["Content-Length"] = str(len(answer))  # set last, since the constructor sets this header too
            return half
        return Response(
            answer[:-20] if fault == "truncated" else answer, 200, self.headers, content_type="application/json"
        )

    def _body(self, texts: list[str], fault: str | None, dimensions: int) -> str:
        vectors = [vector_of(text, dimensions) for text in texts]
        order = list(range(len(texts)))
        if fault == "dimensions":
            vectors = [vector[:-1] for vector in vectors]
        if fault in ("NaN", "zeros"):  # one vector of the answer is wrong
            place = next((place for place, text in enumerate(texts) if text in self.cursed), -1)
            vectors[place] = vectors[place] * (np.nan if fault == "NaN" else 0)
        if fault == "short":
            order = order[:-1]
        if fault == "doubled":
            order = [*order[:-1], 0] if len(order) > 1 else [0, 0]
        if fault == "shuffled":
            order = order[::-1]
        data = [{"object": "embedding", "index": index, "embedding": self._spelt(vectors[index])} for index in order]
        tokens = 3 * len(texts)
        answer = {
            "object": "list",
            "model": "fake",
            "data": data,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return json.dumps({"detail": "no such thing"} if fault == "other keys" else answer)

    def _spelt(self, vector: np.ndarray) -> str | list[float]:
        return base64.b64encode(vector.tobytes()).decode() if self.form == "base64" else vector.tolist()
