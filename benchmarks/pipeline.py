"""The wall time of the default study, side by side and with `dvc repro` alone, and of both with nothing to do.

Timed: the commands in new copies without results and with an empty DVC cache. Not timed: the installation of the
packages. The two archives are fetched within the time, unless the cache has them.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, median_figure
from benchmarks.scratch import Setting, run, working_copy

MINUTES, NOTHING_SECONDS, GAIN, OTHER = 6.0, 1.5, 1.25, 15.0
ALONE, SIDE_BY_SIDE = ("dvc", "repro"), (sys.executable, "-m", "stages.repro")


def figures(setting: Setting) -> list[Figure]:
    """One whole run of each command, and `repeats` runs with nothing to do."""
    whole, nothing, other = {}, {}, 0.0
    for command in (SIDE_BY_SIDE, ALONE):
        with tempfile.TemporaryDirectory(prefix="benchmarks-pipeline-") as folder:
            root = Path(folder)
            working_copy(root)
            run(root, "git", "init", "--quiet")
            whole[command] = seconds(root, sys.executable, "-m", "stages.check") + seconds(root, *command)
            nothing[command] = [seconds(root, *command) for _ in range(setting.repeats)]
            if command == SIDE_BY_SIDE:
                other = 100 - share_at_work(root, whole[command])
    gain = whole[ALONE] / whole[SIDE_BY_SIDE]
    return [
        Figure("make repro, default study, packages installed", whole[SIDE_BY_SIDE] / 60, "min", at_most=MINUTES),
        Figure("dvc repro alone / make repro, default study", gain, "x", at_least=GAIN),
        Figure("outside of training and predicting, of both workers' time", other, "%", at_most=OTHER),
        median_figure("dvc repro with nothing to do", nothing[ALONE], "s", at_most=NOTHING_SECONDS),
        median_figure("stages.repro with nothing to do", nothing[SIDE_BY_SIDE], "s", at_most=NOTHING_SECONDS),
    ]


def share_at_work(root: Path, wall: float) -> float:
    """The percent of two workers' time spent on training, measuring and predicting, from timing/."""
    timings = [json.loads(path.read_text()) for path in (root / "timing").rglob("*.json")]
    return 100 * sum(one["train_seconds"] + one["predict_seconds"] for one in timings) / (2 * wall)


def seconds(root: Path, *command: str) -> float:
    """The wall time of a command."""
    began = time.perf_counter()
    run(root, *command)
    return time.perf_counter() - began
