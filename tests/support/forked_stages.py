"""Stages in forks of their own `tests/support/warm_python.py`, so that a call takes no time for imports.

Variables that libraries read at import (HF_ENDPOINT, HF_HOME) are the same for all calls.
"""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.conftest import REPOSITORY
from tests.support.warm_python import warm_python

MODULES = ("src.core.training.run", "src.data.preparation", "src.study.records.collecting")  # of what the stages run


class Ended(NamedTuple):
    """The end of a stage: its exit status, stdout and stderr."""

    status: int
    told: str
    errors: str


class ForkedStages(NamedTuple):
    """Calls stages in a folder."""

    python: Path
    folder: Path
    environment: dict[str, str]

    def __call__(self, stage: str, *arguments: str, folder: Path | None = None) -> Ended:
        """Call `python -m stages.<stage> <arguments>` in a folder."""
        command = [self.python, "-m", f"stages.{stage}", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
        ended = subprocess.run(command, cwd=folder or self.folder, env=self.environment, check=False, **pipes)
        return Ended(ended.returncode, ended.stdout, ended.stderr)


@contextmanager
def forked_stages(folder: Path, **environment: str) -> Generator[ForkedStages]:
    """Yield `ForkedStages` with environment variables, which the libraries read too."""
    own = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"} | environment
    with warm_python(own, MODULES) as tools:
        yield ForkedStages(tools / "python", folder, own)
