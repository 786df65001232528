"""Ends a command at Ctrl-C or SIGTERM: both raise an ``Interruption``, so that every ``with`` block cleans up."""

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
    """The exception that ends a command after a signal.

    Attributes
    ----------
    source : str
        What ended the command: ``Ctrl-C`` or ``SIGTERM``.
    exit_code : int
        The exit code of the command.
    """

    def __init__(self, received_signal: signal.Signals) -> None:
        super().__init__()
        self.source = "Ctrl-C" if received_signal == signal.SIGINT else received_signal.name
        self.exit_code = EXIT_CODES[received_signal]


def is_interrupted() -> bool:
    """Tell whether a signal has interrupted the command; an error that is raised later is a consequence of that."""
    return bool(_received)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise an :class:`Interruption` in the ``with`` block at Ctrl-C or SIGTERM.

    DuckDB turns an exception that is raised during a query into an error of its own; an ``Interruption`` leaves the
    block all the same. Only the main thread gets signals, so a block of another thread changes nothing.
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
def call_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` if a signal comes during the ``with`` block.

    ``stop`` ends work in threads that Python can't interrupt, such as a query of DuckDB.
    """
    _also_stopped.append(stop)
    try:
        yield
    finally:
        _also_stopped.remove(stop)


def _interrupt(signal_number: int, stack_frame: FrameType | None) -> None:  # noqa: ARG001 - every handler gets the frame
    _received.append(signal.Signals(signal_number))
    for stop in _also_stopped:
        stop()
    raise Interruption(_received[0])
