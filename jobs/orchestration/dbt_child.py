"""The process in which `nextmart run` lets dbt build. It ends when the process that started it has ended."""

import os
import signal
import sys
import threading
from typing import Final

from jobs.progress import say

STDIN: Final = 0


def main() -> None:
    """Run dbt with the arguments of this process, as the command ``dbt`` does.

    Ctrl-C in a terminal reaches this process too, which leaves it to the parent to end the build.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from dbt.cli.main import cli  # imported here: the parent is watched meanwhile, too

    sys.exit(cli())


def _end_with_parent() -> None:
    """End this process at once when the other end of its stdin is closed, as it is when the parent has ended.

    Nothing is lost by that which a kill would not lose: the next run goes on from what was committed.
    """
    while os.read(STDIN, 1):
        pass
    say("the build ends, because the command that started it has ended")
    os._exit(1)
