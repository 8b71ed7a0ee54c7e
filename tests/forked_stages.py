"""Stages called in children of one process that has imported them already: each costs its own work and no imports.

What the environment says to libraries as they are imported (HF_ENDPOINT, HF_HOME) is the same for all children.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.conftest import REPOSITORY

LINE = "import tests.forked_stages as here; here.serve()"


class Ended(NamedTuple):
    """How a stage ended: its exit status, and what it wrote to stdout and to stderr."""

    status: int
    told: str
    errors: str


class ForkedStages:
    """Calls of stages in one folder; used as a context manager."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        own = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"} | environment
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", LINE], cwd=folder, env=own, **pipes)

    def __enter__(self) -> "ForkedStages":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.process.communicate()

    def __call__(self, stage: str, *arguments: str, folder: Path | None = None) -> Ended:
        """Call `python -m stages.<stage> <arguments>` in a folder."""
        print(json.dumps([stage, arguments, str(folder or self.folder)]), file=self.process.stdin, flush=True)
        return Ended(*json.loads(self.process.stdout.readline()))


def serve() -> None:
    """Fork a child for each line on stdin, and answer how it ended."""
    import datasets  # noqa: F401  what stages import when they need it
    import transformers  # noqa: F401

    from stages import collect, distill, finetune, prepare, student

    mains = {
        module.__name__.removeprefix("stages."): module.main
        for module in (collect, distill, finetune, prepare, student)
    }
    for line in sys.stdin:
        stage, arguments, folder = json.loads(line)
        print(json.dumps(_in_child(mains[stage], [stage, *arguments], folder)), flush=True)


def _in_child(main, argv: list[str], folder: str) -> list:
    streams = [os.memfd_create(name) for name in ("stdout", "stderr")]
    child = os.fork()
    if child == 0:
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
        os.chdir(folder)
        sys.argv = argv
        status = 1
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, waited = os.waitpid(child, 0)
    texts = [Path(f"/proc/self/fd/{stream}").read_text(errors="replace") for stream in streams]
    for stream in streams:
        os.close(stream)
    return [os.waitstatus_to_exitcode(waited), *texts]
