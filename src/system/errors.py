"""Errors that a user can act on: one line, an exit status of its own, no traceback."""

import functools
import gc
import sys
from collections.abc import Callable

from src.system.interrupts import Stopped, raise_on_signals
from src.system.printing import printing


class UserError(Exception):
    """Something the user can mend.

    Args:
        where: the params key or the file at fault.
        problem: what is wrong with it, in a few words.
        allowed: what would be accepted instead, or what to do.
    """

    def __init__(self, where: object, problem: str, allowed: str) -> None:
        self.where, self.problem, self.allowed = str(where), problem, allowed
        line = " ".join(f"{where}: {problem}; {allowed}".split())
        # What comes from a file may hold characters that would move the terminal's cursor.
        super().__init__("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line))


def first_line(error: BaseException) -> str:
    """What an exception says, cut to its first line; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def stage(main: Callable[[], None]) -> Callable[[], None]:
    """Let a stage's `main` end in one readable line when a `UserError` (status 1) or a signal (128 + its number) comes.

    Any other exception is a fault of this project, and keeps its traceback.
    """

    @functools.wraps(main)
    @printing()
    def run() -> None:
        gc.freeze()  # what was imported stays
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
    """transformers reads the docstrings of its models, which Python drops if it is told to."""
    if sys.flags.optimize > 1:
        problem = "Python runs with it at 2 (or with -OO), which drops the docstrings that transformers reads"
        raise UserError("PYTHONOPTIMIZE", problem, "unset it, or set it to 1")
