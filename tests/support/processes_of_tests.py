"""A guard: a test that `make test-fast` runs starts no process.

git does not count. Fetching an archive does not count either: only the first test on a machine fetches it.
"""

import os
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

MARKER = "process"
QUICK = ("git",)


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
