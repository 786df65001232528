"""Runs each night in a process of its own, forked from this process, which has loaded all modules.

Reads a folder from each line of standard input; prints the id of the night's process, and at its end the exit code.
"""
# ruff: noqa: F401, T201

import os
import signal
import sys
import traceback
from urllib.request import urlopen

import absent_pandas
import httpcore2  # loaded in advance, like the next five, which would be loaded only when first used
import openai.resources.chat
import openai.resources.files
import openai.resources.fine_tuning.jobs
import pyarrow.dataset
import pytz

import jobs.language_models.openai_model
import jobs.nightly.evaluate
import jobs.nightly.recommend
import jobs.nightly.train
from jobs import cli
from jobs.dbt_vars import default_vars
from jobs.language_models import fine_tuning
from jobs.services import retrying_client
from jobs.services.openai_tokenizer import cl100k_base

COMMANDS = ("train", "evaluate", "recommend", "publish")


def night(folder: str) -> None:
    """Run the commands of a night in a folder, and tell the service before each command."""
    signal.alarm(60)
    os.chdir(folder)
    os.dup2(os.open("said", os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)
    os.dup2(2, 1)  # the parent tells of processes on stdout
    fine_tuning.POLL_SECONDS, retrying_client.PATIENCE = 0.01, 5.0
    for command in COMMANDS:
        with urlopen(f"{os.environ['OPENAI_BASE_URL']}/begins/{command}"):
            cli.app([command], standalone_mode=False)


def main() -> None:
    cl100k_base()  # read in advance, like the vars
    default_vars()
    for line in sys.stdin:
        process = os.fork()
        if not process:
            try:
                night(line.strip())
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
