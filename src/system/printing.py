"""Printing that cannot break a command's work, whatever its output goes to."""

import io
import os
import select
import signal
import sys
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager, suppress


@contextmanager
def printing() -> Generator[None]:
    """Print any text in the block; end the process if its output cannot be written.

    It ends silently if the reader of a pipe has closed it, as `| head` does. On any other fault, such as a full disk,
    it prints one line.
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
            raise  # the error concerns a file, not stdout
        else:
            status = 1
            with suppress(OSError):
                advice = "free some room, or send the output elsewhere, and run again"
                print(f"error: stdout: {fault}; {advice}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the rest of the buffer goes to /dev/null
        sys.exit(status)


def accept_any_text() -> None:
    """Write characters that the terminal's encoding lacks as `\\u4e2d`, and drop text that goes to a closed stream."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # or the next opened file would take its number, and get the printed text
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
    """The system's reason why stdout cannot be written; None if it can."""
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except OSError as error:
        return error.strerror
    return None


def counted(number: int, noun: str) -> str:
    """A number and its noun: 1 unit, 2 units."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def markdown_row(cells: Iterable[object]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def markdown_head(names: Collection[str]) -> str:
    """The head of a Markdown table, with the line below it."""
    return f"{markdown_row(names)}\n|{'---|' * len(names)}"
