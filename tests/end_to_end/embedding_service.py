"""A stand-in on this machine for a service of embeddings: texts that share words get near vectors."""

import hashlib
import json
import threading
import time
from collections import Counter

import numpy as np
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

DIMENSIONS = 32
KEY = "sk-planted-9876543210"

# the service's model, for nextmart.toml
WORDS = f"""
    [vars]
    embedding_model = "words"
    [vars.embedding_models.words]
    provider = "openai"
    dimensions = {DIMENSIONS}
    price = 1
"""


class EmbeddingService:
    """Answers like OpenAI's endpoint, and counts what it was asked for."""

    def __init__(self, server: HTTPServer) -> None:
        self.requests = 0
        self.texts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.is_down = False
        self.environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url_for("/v1")}
        server.expect_request("/v1/embeddings", method="POST").respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        if self.is_down:
            return Response(json.dumps({"error": {"message": "down for the night"}}), status=503)
        texts = request.json["input"]
        with self.lock:
            self.requests += 1
            self.texts.update(texts)
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return Response(json.dumps({"error": {"message": "wrong key"}}), status=401)
        time.sleep(0.1)  # time enough to be killed while the answer is on its way
        data = [{"object": "embedding", "index": place, "embedding": vector(text)} for place, text in enumerate(texts)]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        answer = {"object": "list", "data": data, "model": request.json["model"], "usage": usage}
        return Response(json.dumps(answer), content_type="application/json")


def vector(text: str) -> list[float]:
    total = np.zeros(DIMENSIONS)
    for word in text.lower().split():
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        total += np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return [float(value) for value in np.float32(total / np.linalg.norm(total))]
