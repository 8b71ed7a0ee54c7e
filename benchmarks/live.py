"""The cost of live curves: the time of a stage's start and of an epoch, with runtime.live on and off in turns.

Timed: the start up to the first step, as in `startup`; and whole epochs of the default teacher on `steps` batches of
vader-movie, each with its evaluation and record. An epoch of a real run has more steps and the same record.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, median_figure
from benchmarks.ours import Ready, now, ready, real_step, train_with, warmed_up
from benchmarks.processes import contenders
from benchmarks.scratch import Setting, prepared, teacher_of
from benchmarks.startup import seconds_to_first_step
from benchmarks.variants import MINILM
from src.core.monitoring.live import LiveCurve
from src.data.prepared import PreparedTask
from src.params import PARAMS_FILE, RunSettings, read_yaml
from src.params.reading import yaml_text

MOST_SECONDS, MOST_SHARE = 0.2, 1.0
EPOCHS = 3


def figures(setting: Setting) -> list[Figure]:
    """Differences between on and off, round by round."""
    prepared(setting, "vader-movie")
    start = {live: [] for live in (True, False)}
    for _ in range(1 + setting.repeats):
        for live, seconds in start.items():
            set_live(setting.root, live)
            seconds.append(seconds_to_first_step(setting))
    added = [on - off for on, off in zip(start[True][1:], start[False][1:], strict=True)]
    with contenders({"epochs": (comparing, *teacher_of(setting, MINILM), setting.repeats)}) as measures:
        shares = measures["epochs"]()
    return [
        median_figure("stage start to first step: live curve on - off", added, "s", at_most=MOST_SECONDS),
        median_figure("time of an epoch: live curve on over off, more", shares, "%", at_most=MOST_SHARE),
    ]


def set_live(root: Path, live: bool) -> None:
    """Set the key in a copy's params.yaml."""
    content = read_yaml(root / PARAMS_FILE)
    content["runtime"]["live"] = live
    (root / PARAMS_FILE).write_text(yaml_text(content))


def comparing(task: PreparedTask, settings: RunSettings, repeats: int) -> Callable[[], list[float]]:
    """A function that measures the added time in percent, once per round."""
    run = warmed_up(ready(task, settings))

    def measure() -> list[float]:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            LiveCurve(Path(folder)).begin([])  # imports TensorBoard, which is part of a stage's start
            return [100 * (seconds(run, LiveCurve(Path(folder))) / seconds(run, None) - 1) for _ in range(repeats)]

    return measure


def seconds(run: Ready, curve: LiveCurve | None) -> float:
    """The seconds of `EPOCHS` epochs."""
    began = now()
    train_with(real_step, run, epochs=EPOCHS, curve=curve)
    return now() - began
