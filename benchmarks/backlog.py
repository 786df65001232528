"""Time the planning of a large backlog, and measure how much of a service's allowed rate the embed job uses.

The backlog is the item texts that have no embedding yet. The service is a local server that allows ``--rate`` requests
a second, answers each after ``--latency`` seconds, and refuses those that come too early (status 429). It runs twice:
once it announces its limit in the headers of answers, and once only the header Retry-After of refusals hints at it. The
printed ratio is the number of texts embedded, divided by the number that the limit allows in the same time.
Run: ``python -m benchmarks.backlog``.
"""

import argparse
import json
import os
import resource
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb

from benchmarks.timing import print_timing
from jobs.embedding.plan import plan_embedding
from jobs.orchestration.run_job import run_job
from jobs.settings import Settings
from jobs.warehouse.connection import connect, prepare_warehouse

INSERT_TEXTS = """
    create or replace table catalog.item_texts as
    select 'i' || item as item_id, 'Thing number ' || item || ' of a brand, in a category > and another' as text,
        sha256(item::varchar) as text_hash
    from range(?) as numbers (item)
"""

MODEL = {
    "embedding_model": "fake",
    "embedding_models": {"fake": {"provider": "openai", "dimensions": 8, "price": 0.02}},
}


class RateLimitedServer(ThreadingHTTPServer):
    """A local server that limits the rate of requests. It saves up unused requests of one second at most for later.

    Parameters
    ----------
    announces_limit : bool
        Whether answers have a header with the limit.
    """

    daemon_threads = True

    def __init__(self, requests_per_second: float, latency_seconds: float, announces_limit: bool) -> None:
        super().__init__(("127.0.0.1", 0), EmbeddingsHandler)
        self.requests_per_second, self.latency_seconds = requests_per_second, latency_seconds
        self.announces_limit = announces_limit
        self.requests_available, self.refilled_at = 0.0, time.monotonic()
        self.refused_requests = 0
        self.lock = threading.Lock()

    def admit_or_seconds_to_wait(self) -> float:
        """Admit a request and return 0, or refuse it and return the seconds by which it came too early."""
        with self.lock:
            now = time.monotonic()
            self.requests_available = min(
                self.requests_per_second, self.requests_available + (now - self.refilled_at) * self.requests_per_second
            )
            self.refilled_at = now
            if self.requests_available < 1:
                self.refused_requests += 1
                return (1 - self.requests_available) / self.requests_per_second
            self.requests_available -= 1
            return 0.0


class EmbeddingsHandler(BaseHTTPRequestHandler):
    """Handles HTTP requests for embeddings; all vectors are the same."""

    protocol_version = "HTTP/1.1"
    server: RateLimitedServer

    def do_POST(self) -> None:
        """Answer a request with a vector for each text, or refuse it with status 429."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        early = self.server.admit_or_seconds_to_wait()
        if early:
            self._send(429, {"error": {"message": "too early"}}, {"Retry-After": f"{early:.3f}"})
            return
        time.sleep(self.server.latency_seconds)
        data = [{"index": index, "embedding": [1.0] * 8} for index in range(len(body["input"]))]
        tokens = 10 * len(data)
        announced = (
            {"x-ratelimit-limit-requests": str(60 * self.server.requests_per_second)}
            if self.server.announces_limit
            else {}
        )
        self._send(200, {"data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}, announced)

    def _send(self, status_code: int, body: dict, headers: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status_code)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the base class from writing a line for each request."""


def time_embedding(
    text_count: int, batch_size: int, requests_per_second: float, latency_seconds: float, announces_limit: bool
) -> tuple[float, float, int]:
    """Embed texts with a rate-limited server.

    Returns
    -------
    seconds : float
    used_share : float
        Requests made, divided by the requests that the limit allows in this time.
    refused_requests : int
    """
    server = RateLimitedServer(requests_per_second, latency_seconds, announces_limit)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["OPENAI_API_KEY"] = "sk-of-a-benchmark"
    os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
    with duckdb.connect() as connection:
        prepare_warehouse(connection)
        connection.execute("create schema catalog")
        connection.execute(INSERT_TEXTS, [text_count])
        settings = Settings(vars=MODEL, embedding_batch_size=batch_size)
        started = time.perf_counter()
        done = run_job("embed", connection, settings)
        seconds = time.perf_counter() - started
    server.shutdown()
    assert done["rows_out"] == text_count
    return seconds, text_count / batch_size / (requests_per_second * seconds), server.refused_requests


def main() -> None:
    """Run the benchmark; print the seconds and ratios of embedding and of planning."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planned", type=int, default=10_000_000, help="texts of the backlog to plan")
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--rate", type=float, default=20, help="requests a second that the service allows")
    parser.add_argument("--latency", type=float, default=0.2)
    options = parser.parse_args()
    print("what, seconds, share of the allowed rate")
    for announces_limit in (True, False):
        seconds, share, refused = time_embedding(
            8 * options.requests, 8, options.rate, options.latency, announces_limit
        )
        how = "announced limit" if announces_limit else "limit not announced"
        print_timing(
            f"{options.requests} requests at {options.rate:g} a second, {how} ({refused} refused)", seconds, share
        )

    with tempfile.TemporaryDirectory() as folder, connect(Path(folder) / "warehouse.duckdb") as connection:
        connection.execute("set memory_limit = '2GB'")
        prepare_warehouse(connection)
        connection.execute("create schema catalog")
        connection.execute(INSERT_TEXTS, [options.planned])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        [plan, *_] = plan_embedding(connection, Settings(vars=MODEL))
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        connection.execute("select count(distinct text_hash), sum(strlen(text)) from catalog.item_texts").fetchall()
        scan = time.perf_counter() - started
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
    print("what, seconds, ratio to counting the unique hashes")
    print_timing(
        f"planning {plan.texts:,} texts, about {plan.tokens:,} tokens, {grown:.1f} GB", seconds, seconds / scan
    )


if __name__ == "__main__":
    main()
