"""The fake embedding service of the campaign, and the ways in which a night can go wrong with it."""

import logging
from collections import Counter
from random import Random

from pytest_httpserver import HTTPServer

from tests.embedding.fake_openai import KEY, FakeOpenAI

DIMENSIONS = 8
MODEL = f"""
embedding_model = "fake"
[vars.embedding_models.fake]
provider = "openai"
dimensions = {DIMENSIONS}
price = 1
"""

DAMAGED = ("truncated", "short", "doubled", "dimensions", "a page")
BROKEN = ("reset", "cut off", "500")
LIMITED = ("429", "429 retry-after", "503")


class Service:
    """The service, and its mood for the night."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
        self.server = HTTPServer(threaded=True)
        self.server.start()
        self.fake = FakeOpenAI(self.server, DIMENSIONS)
        self.environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": self.server.url_for("/v1")}

    @property
    def sold(self) -> Counter[str]:
        """How often a right vector of each text was sold."""
        return self.fake.paid

    def behave(self, faults: set[str], seed: float) -> None:
        """Behave for a night as its faults say; without one, answer at once."""
        random = Random(seed)
        self.fake.delay = 0.2 if "service_slow" in faults else 0.0
        choices: tuple[str | None, ...] = (None,)
        if "service_down" in faults:
            choices = ("503",)
        elif "service_slow" in faults:
            choices = (None, None, *LIMITED)
        elif "service_wrong" in faults:
            choices = (None, *DAMAGED)
        elif "service_breaks" in faults:
            choices = (None, *BROKEN)
        self.fake.faults = lambda _: random.choice(choices)
        self.server.clear_log()

    def close(self) -> None:
        """End the service."""
        self.fake.closing.set()
        self.server.stop()
