"""The wall time of the default study, and of a `dvc repro` that finds nothing to do.

Timed: the two commands of `make repro` in a fresh copy without results and with an empty DVC cache. Not timed: the
installation of the packages, and the fetching of the two archives, where they are in the cache already.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, median_figure
from benchmarks.scratch import Setting, run, working_copy

MINUTES, NOTHING_SECONDS = 6.0, 1.5


def figures(setting: Setting) -> list[Figure]:
    """One whole run, and `repeats` runs that have nothing to do."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-pipeline-") as folder:
        root = Path(folder)
        working_copy(root)
        run(root, "git", "init", "--quiet")
        check = seconds(root, sys.executable, "-m", "stages.check")
        minutes = (check + seconds(root, "dvc", "repro")) / 60
        nothing = [seconds(root, "dvc", "repro") for _ in range(setting.repeats)]
    return [
        Figure("make repro, default study, packages installed", minutes, "min", at_most=MINUTES),
        median_figure("dvc repro with nothing to do", nothing, "s", at_most=NOTHING_SECONDS),
    ]


def seconds(root: Path, *command: str) -> float:
    """The wall time of a command."""
    began = time.perf_counter()
    run(root, *command)
    return time.perf_counter() - began
