"""The fake embedding service of the campaign, with its faults: outages, slow, damaged or broken answers."""

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

DAMAGED_ANSWERS = ("truncated", "short", "doubled", "dimensions", "a page")
BROKEN_CONNECTIONS = ("reset", "cut off", "500")
RATE_LIMIT_ANSWERS = ("429", "429 retry-after", "503")


class FakeEmbeddingService:
    """A local HTTP server that answers as OpenAI's embedding service does, with the faults of the present night."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else the server logs a line for each request
        self.server = HTTPServer(threaded=True)
        self.server.start()
        self.fake_openai = FakeOpenAI(self.server, DIMENSIONS)
        self.environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": self.server.url_for("/v1")}

    @property
    def sold_text_counts(self) -> Counter[str]:
        """How often the service has sold an undamaged vector of each text."""
        return self.fake_openai.paid

    def set_faults_of_night(self, fault_names: set[str], seed: int) -> None:
        """Set how the service answers during a night: by the night's faults, or at once if there is none."""
        random = Random(seed)
        self.fake_openai.delay = 0.2 if "service_slow" in fault_names else 0.0
        choices: tuple[str | None, ...] = (None,)
        if "service_down" in fault_names:
            choices = ("503",)
        elif "service_slow" in fault_names:
            choices = (None, None, *RATE_LIMIT_ANSWERS)
        elif "service_wrong" in fault_names:
            choices = (None, *DAMAGED_ANSWERS)
        elif "service_breaks" in fault_names:
            choices = (None, *BROKEN_CONNECTIONS)
        self.fake_openai.faults = lambda _: random.choice(choices)
        self.server.clear_log()

    def close(self) -> None:
        """Stop the server."""
        self.fake_openai.closing.set()
        self.server.stop()
