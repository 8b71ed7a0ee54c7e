"""Being asked to stop: SIGTERM (a scheduler, `kill`), SIGINT (Ctrl-C) and SIGHUP (the terminal is gone).

A stage stops at once and says so. The training loop takes its time: it finishes the step and saves a checkpoint
first (see `StopRequest`).
"""

import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None  # as `signal.getsignal` gives it

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PARENT = os.getppid()  # DVC, for a stage that it started
LAUNCHER = "CMI_GLUE_LAUNCHER"  # holds the number of the process that runs units side by side, where one does


class Stopped(KeyboardInterrupt):
    """A signal asked the stage to stop.

    Args:
        number: the signal's.
        saved: what is left of the work, and how to go on.
    """

    def __init__(self, number: int, saved: str = "nothing half-done is left; run it again") -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}: {saved}")
        self.number, self.exit_status = number, 128 + number


class StopRequest:
    """Signals that came while a block ran: the first is kept for when it suits, a second one stops at once.

    Used as a context manager; only the main thread may.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def pending(self) -> int | None:
        """The signal that came. The end of DVC, or of the launcher, counts as SIGHUP: see `_orphaned`."""
        if self.signal is None and _orphaned():
            self.signal = signal.SIGHUP
        return self.signal

    def __enter__(self) -> "StopRequest":
        self._before = _install(self._take)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _restore(self._before)
        if self.signal is not None and kind is None:
            raise Stopped(self.signal)  # it came when there was no step left to act on it

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise Stopped(number)
        self.signal = number
        line = f"{signal.Signals(number).name}: finishing this step, then saving; once more to stop at once\n"
        os.write(sys.stderr.fileno(), line.encode())  # print is not safe here: it may be what was interrupted


def _orphaned() -> bool:
    """Whether a stage has outlived DVC, or the launcher of its unit: it would be run again beside itself."""
    if "DVC_STAGE" in os.environ and os.getppid() != PARENT:
        return True
    launcher = os.environ.get(LAUNCHER)
    if launcher is None:
        return False
    import psutil  # which most stages need not import

    return not psutil.pid_exists(int(launcher))


@contextmanager
def raise_on_signals() -> Generator[None]:
    """Have a signal raise `Stopped` wherever the block is, so that drafts of files are cleaned up."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    before = _install(stop)
    try:
        yield
    finally:
        _restore(before)


def exit_on_signals() -> None:
    """Have a signal end the process in one line: for the seconds in which a stage imports its libraries."""

    def leave(number: int, frame: FrameType | None) -> None:
        stopped = Stopped(number)
        os.write(sys.stderr.fileno(), f"{stopped}\n".encode())
        os._exit(stopped.exit_status)

    _install(leave)


@contextmanager
def kept_handlers() -> Generator[None]:
    """Undo what a library does to the signals' handlers in the block."""
    before: dict[int, Handler] = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        _restore(before)


def _install(handler: Callable[[int, FrameType | None], None]) -> dict[int, Handler]:
    """What the handlers were. Signals that are ignored, as under nohup, are left ignored."""
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heeded}


def _restore(handlers: dict[int, Handler]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
