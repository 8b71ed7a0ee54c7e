"""Signals that ask to stop: SIGTERM (a scheduler, `kill`), SIGINT (Ctrl-C) and SIGHUP (the terminal was closed).

A stage stops at once and prints a line. The training loop first finishes its step and saves a checkpoint (see
`StopRequest`).
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
LAUNCHER = "CMI_GLUE_LAUNCHER"  # the id of the process that runs units side by side, if there is one


class Stopped(KeyboardInterrupt):
    """A signal asked the stage to stop.

    Args:
        number: the signal's number.
        saved: the work that is kept, and how to go on.
    """

    def __init__(self, number: int, saved: str = "no half-written files are left; run it again") -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}: {saved}")
        self.number, self.exit_status = number, 128 + number


class StopRequest:
    """A context manager that holds the first signal until the block asks for it; a second signal stops at once.

    Only the main thread may use it.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def pending(self) -> int | None:
        """The signal that came, or None. The end of DVC or of the launcher counts as SIGHUP (see `_orphaned`)."""
        if self.signal is None and _orphaned():
            self.signal = signal.SIGHUP
        return self.signal

    def __enter__(self) -> "StopRequest":
        self._before = _install(self._take)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _restore(self._before)
        if self.signal is not None and kind is None:
            raise Stopped(self.signal)  # it came after the last step

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise Stopped(number)
        self.signal = number
        line = f"{signal.Signals(number).name}: finishing this step, then saving; send it again to stop at once\n"
        os.write(sys.stderr.fileno(), line.encode())  # print is not safe here: the signal may have interrupted a print


def _orphaned() -> bool:
    """Whether DVC, or the launcher of the unit, has ended before this stage.

    The next `dvc repro` would start the same stage beside it.
    """
    if "DVC_STAGE" in os.environ and os.getppid() != PARENT:
        return True
    launcher = os.environ.get(LAUNCHER)
    if launcher is None:
        return False
    import psutil  # only stages of units need it

    return not psutil.pid_exists(int(launcher))


@contextmanager
def raise_on_signals() -> Generator[None]:
    """Have a signal raise `Stopped` inside the block, so that drafts of files are removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    before = _install(stop)
    try:
        yield
    finally:
        _restore(before)


def exit_on_signals() -> None:
    """Have a signal print one line and end the process. Use it while a stage imports its libraries."""

    def leave(number: int, frame: FrameType | None) -> None:
        stopped = Stopped(number)
        os.write(sys.stderr.fileno(), f"{stopped}\n".encode())
        os._exit(stopped.exit_status)

    _install(leave)


@contextmanager
def kept_handlers() -> Generator[None]:
    """Restore the signal handlers that a library replaces in the block."""
    before: dict[int, Handler] = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        _restore(before)


def _install(handler: Callable[[int, FrameType | None], None]) -> dict[int, Handler]:
    """Set the handler and return the old ones. Signals that are ignored, as under nohup, stay ignored."""
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heeded}


def _restore(handlers: dict[int, Handler]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
