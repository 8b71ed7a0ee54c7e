"""Stages that run in forks of their own `tests/support/warm_python.py`, so that no call imports libraries again.

All calls share the variables that libraries read at import (HF_ENDPOINT, HF_HOME).
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
    """How a stage ended: its exit status, and what it wrote to stdout and to stderr."""

    status: int
    told: str
    errors: str


class ForkedStages(NamedTuple):
    """Calls stages in any folder."""

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
    """Stages that run with these variables, which libraries read at import too."""
    own = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"} | environment
    with warm_python(own, MODULES) as tools:
        yield ForkedStages(tools / "python", folder, own)
