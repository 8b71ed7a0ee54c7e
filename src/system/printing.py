"""What a command prints, wherever it goes, breaks none of its work."""

import io
import os
import select
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress


@contextmanager
def printing() -> Generator[None]:
    """Print any text in the block; end the process where its output can go nowhere.

    Without a word where what reads it is gone, as after `| head`; else, as on a full disk, in one line.
    """
    accept_any_text()
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            if not _reader_is_gone():  # another pipe is broken
                raise
            status = 128 + signal.SIGPIPE
        elif error.filename is not None or (fault := _fault_of_stdout()) is None:
            raise  # it is of a file
        else:
            status = 1
            with suppress(OSError):
                print(f"error: stdout: {fault}; free some room, or send it elsewhere, and run again", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still in the buffer goes there
        sys.exit(status)


def accept_any_text() -> None:
    """Write what the terminal's encoding lacks as `\\u4e2d`, and what goes to a closed stream nowhere."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # else the next file to be opened would get what is written to its number
            number = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _reader_is_gone() -> bool:
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    return bool(reader.poll(0))


def _fault_of_stdout() -> str | None:
    """Why nothing can be written there, in the system's words."""
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except OSError as error:
        return error.strerror
    return None
