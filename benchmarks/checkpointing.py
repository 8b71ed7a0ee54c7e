"""The cost of checkpoints: the time of one save, as a share of the interval between two saves.

Timed: one save by the training loop of the default teacher's model, its optimiser and the weights of its best epoch,
to the disk of checkpoints/. The interval is `checkpoints.seconds` in params.yaml.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, median_figure
from benchmarks.ours import Ready, ready, real_step, train_with
from benchmarks.processes import contenders
from benchmarks.scratch import Setting, first_rows, prepared
from src.core.training.checkpoints import Checkpoints, checkpoints_root
from src.data.prepared import PreparedTask
from src.params import CheckpointSettings, RunSettings

MOST = 2.0


class TimedCheckpoints(Checkpoints):
    """Checkpoints that are always due, and that record the seconds of each save."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, CheckpointSettings(seconds=0, largest_share=1))
        self.seconds: list[tuple[bool, float]] = []

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Save, and record whether the state had the best epoch's weights."""
        began = time.perf_counter()
        super().save(step, state)
        self.seconds.append((bool(state["kept"]["weights"]), time.perf_counter() - began))


def figures(setting: Setting) -> list[Figure]:
    """The default teacher on a few rows of vader-movie, whose number does not change the size of a checkpoint."""
    settings = setting.params.teacher("vader-movie", "ce")
    task = first_rows(prepared(setting, "vader-movie"), 2 * settings.training.batch_size)
    with contenders({"saves": (saving, task, settings, setting.repeats)}) as measures:
        saves = measures["saves"]()
    interval = settings.checkpoints.seconds
    shares = [100 * one / (interval + one) for one in saves]
    return [
        median_figure("one checkpoint", saves, "s"),
        median_figure(f"checkpoint / interval of {interval:g} s", shares, "%", at_most=MOST),
    ]


def saving(task: PreparedTask, settings: RunSettings, repeats: int) -> Callable[[], list[float]]:
    """A function that measures the seconds of several saves."""
    run = ready(task, settings)
    return lambda: save_seconds(run, repeats)


def save_seconds(run: Ready, repeats: int) -> list[float]:
    """The seconds of saves after each step of a run that has finished its first epoch."""
    root = checkpoints_root()
    root.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=root) as folder:
        checkpoints = TimedCheckpoints(Path(folder))
        train_with(real_step, run, checkpoints, epochs=1 + repeats)
    saves = [seconds for has_best, seconds in checkpoints.seconds if has_best]
    return [statistics.median(saves), *saves][1 : 1 + repeats]
