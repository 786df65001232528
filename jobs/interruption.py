"""Ending a command by Ctrl-C or SIGTERM: both raise an ``Interruption``, after which every block cleans up."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

EXIT_CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""The exit code of a command that a signal has ended, by the signal."""
_received: list[signal.Signals] = []
_also_stopped: list[Callable[[], None]] = []


class Interruption(KeyboardInterrupt):
    """The end of a command by a signal.

    Attributes
    ----------
    source : str
        What ended the command: ``Ctrl-C`` or ``SIGTERM``.
    exit_code : int
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.source = "Ctrl-C" if number == signal.SIGINT else number.name
        self.exit_code = EXIT_CODES[number]


def is_interrupted() -> bool:
    """Tell whether a signal has interrupted the command; an error that is raised then is a consequence."""
    return bool(_received)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise an :class:`Interruption` in the ``with`` block at Ctrl-C or SIGTERM.

    DuckDB turns what is raised during a query into an error of its own; the block ends by the interruption all the
    same. Signals are the main thread's: a block of another thread changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, _interrupt) for number in EXIT_CODES}
    try:
        yield
    except Exception as error:
        if _received:
            raise Interruption(_received[0]) from error
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        _received.clear()


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Let a signal call ``stop`` too, during the ``with`` block: of what works on in threads that Python can't end."""
    _also_stopped.append(stop)
    try:
        yield
    finally:
        _also_stopped.remove(stop)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - every handler gets the frame
    _received.append(signal.Signals(number))
    for stop in _also_stopped:
        stop()
    raise Interruption(_received[0])
