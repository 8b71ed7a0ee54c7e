"""Marks the tests that start processes; `make test-fast` skips them.

A test is marked if it, a fixture or a helper in tests/ names a starter of processes. If only the code under test starts
one, the test needs the marker by hand, and fails without it. git does not count. Fetching an archive
does not count either: only the first test on a machine fetches it.
"""

import inspect
import multiprocessing
import os
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

MARKER = "process"
STARTERS = (subprocess, subprocess.run, subprocess.Popen, multiprocessing)
QUICK = ("git",)


def mark(items: list[pytest.Item]) -> None:
    """Give the marker to the tests that need it."""
    for item in items:
        fixtures = [fixture.func for found in item._fixtureinfo.name2fixturedefs.values() for fixture in found]
        if starts_processes(item.function, *fixtures):
            item.add_marker(MARKER)


def starts_processes(*functions: Callable) -> bool:
    """Whether functions name something that starts processes, or call functions of tests/ that do."""
    seen, left = set(), [*functions]
    while left:
        function = inspect.unwrap(left.pop())
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        named = [function.__globals__.get(name) for name in _names(function.__code__)]
        if any(value is starter for value in named for starter in STARTERS):
            return True
        left += [own for value in named if _is_of_tests(value) for own in _functions(value)]
    return False


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_of_tests(value: Any) -> bool:
    return isinstance(value, FunctionType | type) and value.__module__.startswith("tests.")


def _functions(value: FunctionType | type) -> list[Callable]:
    return [*vars(value).values()] if isinstance(value, type) else [value]


def _is_allowed(command: Sequence[str | os.PathLike]) -> bool:
    return Path(os.fspath(command[0])).name in QUICK or [*command[1:4]] == ["-m", "pip", "download"]


@contextmanager
def no_processes(test: str) -> Generator[None]:
    """Fail a test that starts a process."""

    def refuse(what: object) -> None:
        pytest.fail(f"{test} starts a process ({what}); give it @pytest.mark.{MARKER}, or keep to this process")

    class Popen(subprocess.Popen):
        def __init__(self, args: Any, *more: Any, **settings: Any) -> None:
            if not _is_allowed([args] if isinstance(args, str | os.PathLike) else args):
                refuse(args)
            super().__init__(args, *more, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Popen)
        patch.setattr(BaseProcess, "start", refuse)
        yield
