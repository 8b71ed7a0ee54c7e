"""The traces of one run on disk: its curve, results, duration and failure."""

import platform
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from src.core.monitoring.event_files import (
    CURVES_FOLDER,
    ON_NODES,
    Curve,
    began_at,
    curve_folder,
    event_files,
    read_curve,
)
from src.parallel.units import UNITS_FOLDER, Unit
from src.runs import RUNS_FOLDER, TIMING_FOLDER, RunName
from src.status.logs import Failure
from src.study import UNIT_SETTINGS, unit_folder
from src.system.files import read_json

TIMED = ("load_seconds", "train_seconds", "predict_seconds")


class Found(NamedTuple):
    """The traces of a run on disk. `finished` is the time at which its results were saved, `seconds` its duration."""

    name: RunName
    curve: Curve | None
    finished: float | None
    seconds: float | None
    failure: Failure | None

    @property
    def runs_now(self) -> bool:
        """Whether its process is alive. A process on another machine counts as alive, because it cannot be checked."""
        curve = self.curve
        if curve is None or curve.ended is not None or curve.failed is not None:
            return False
        return curve.host != platform.node() or _lives(curve.process, curve.began)


def found_of(study: str, name: RunName, logged: dict[RunName | None, Failure]) -> Found:
    """The traces of a run on disk. `logged` has the failures in the log of its unit."""
    unit = UNITS_FOLDER / Unit(name.task, name.seed, ()).name
    saved = [name.folder(root) / "record.json" for root in (RUNS_FOLDER, unit / RUNS_FOLDER)]
    saved += [unit_folder(study, name.task, name.seed) / UNIT_SETTINGS]  # its results may come from another machine
    finished = max((file.stat().st_mtime for file in saved if file.is_file()), default=None)
    curve = _curve(study, name, finished)
    if finished is None and curve is not None and unit.is_dir():
        finished = curve.ended  # a node of a cluster sends results only when its whole unit is done
    failures = [logged.get(name) or logged.get(None), Failure(*curve.failed) if curve and curve.failed else None]
    failure = max(filter(None, failures), default=None)
    return Found(name, curve, finished, _seconds(name, (unit / TIMING_FOLDER, TIMING_FOLDER)), failure)


def _curve(study: str, name: RunName, finished: float | None) -> Curve | None:
    """The newest curve of a run; None if the results were saved after that start."""
    here = curve_folder(study, name)
    folders = (here, name.folder(CURVES_FOLDER / ON_NODES / study))
    newest = max((files[-1] for files in map(event_files, folders) if files), key=began_at, default=None)
    if newest is None or (finished is not None and began_at(newest) <= finished):
        return None
    return read_curve(newest.parent)


def _seconds(name: RunName, roots: tuple[Path, ...]) -> float | None:
    files = [name.folder(root).with_suffix(".json") for root in roots]
    timings = [read_json(path) for path in files if path.is_file()]
    return sum(timings[0][part] for part in TIMED) if timings else None


def _lives(process: int, began: float) -> bool:
    """Whether a process that began before a time is alive. A later process can have the same number."""
    try:
        found = psutil.Process(process)
        return found.create_time() <= began + 1 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def now() -> float:
    """Seconds since 1970."""
    return time.time()
