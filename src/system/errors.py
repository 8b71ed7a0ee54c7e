"""Errors that a user can act on: one line and exit status 1, without a traceback."""

import functools
import gc
import sys
from collections.abc import Callable

from src.system.interrupts import Stopped, raise_on_signals
from src.system.printing import printing


class UserError(Exception):
    """A fault that the user can mend. It prints as `where: problem; allowed`.

    Args:
        where: the key of params.yaml or the file at fault.
        problem: the fault, in a few words.
        allowed: an instruction that begins with its verb, or "allowed: " and the accepted values.
    """

    def __init__(self, where: object, problem: str, allowed: str) -> None:
        self.where, self.problem, self.allowed = str(where), problem, allowed
        line = " ".join(f"{where}: {problem}; {allowed}".split())
        # Text from a file may hold characters that would move the terminal's cursor.
        super().__init__("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line))


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or the name of its type if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def stage(main: Callable[[], None]) -> Callable[[], None]:
    """Have a stage's `main` print one line and exit on a `UserError` (status 1) or a signal (128 + its number).

    Any other exception is a fault of this project, and keeps its traceback.
    """

    @functools.wraps(main)
    @printing()
    def run() -> None:
        gc.freeze()  # imported modules stay, so the collector need not look at them
        gc.enable()
        try:
            _check_docstrings()
            with raise_on_signals():
                main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except Stopped as stopped:
            print(stopped, file=sys.stderr)
            sys.exit(stopped.exit_status)

    return run


def _check_docstrings() -> None:
    """Refuse a Python that drops docstrings: transformers reads those of its models."""
    if sys.flags.optimize > 1:
        problem = "is 2 (or Python runs with -OO), which drops the docstrings that transformers reads"
        raise UserError("PYTHONOPTIMIZE", problem, "unset it, or set it to 1")
