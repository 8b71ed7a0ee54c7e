"""A run's curve while it trains: each epoch, as it ends, goes to a file that TensorBoard reads.

No result depends on it. If the file cannot be written, the run prints a warning and trains on.
"""

import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from src.core.monitoring.event_files import (
    Epoch,
    append_events,
    curve_folder,
    end_event,
    epoch_event,
    error_event,
    event_files,
    new_event_file,
    read_curve,
    start_events,
)
from src.runs import RunName
from src.system.errors import first_line

GROUPS = ("loss", "selection", "train")  # prefixes of the history's columns, by which TensorBoard groups
OTHERS = "training"


class LiveCurve:
    """The event file of one run in one process.

    A run that starts anew replaces older files. A run that goes on from a checkpoint keeps the epochs of its history,
    with the values that only the older files have.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path: Path | None = None

    def begin(self, history: Sequence[Mapping[str, float]]) -> None:
        """Start the file. `history` has the epochs of the checkpoint."""
        with self._faults_told():
            curve, before = read_curve(self.folder), event_files(self.folder)
            known = {} if curve is None else curve.epochs
            self.folder.mkdir(parents=True, exist_ok=True)
            path = new_event_file(self.folder)
            kept = (_epoch(row, known.get(int(row["epoch"]), Epoch(time.time(), {}))) for row in history)
            append_events(path, start_events(dict(enumerate(kept, start=1))))
            for file in before:
                file.unlink(missing_ok=True)
            self.path = path

    def add(self, row: Mapping[str, float], **more: float | None) -> None:
        """Write an epoch: its row of the history, and `more` values that the history lacks."""
        values = {f"{OTHERS}/{name}": value for name, value in more.items() if value is not None}
        if self.path is not None:
            with self._faults_told():
                append_events(self.path, [epoch_event(int(row["epoch"]), _epoch(row, Epoch(time.time(), values)))])

    def end(self) -> None:
        """Write that the results are saved."""
        if self.path is not None:
            with self._faults_told():
                append_events(self.path, [end_event()])

    def fail(self, line: str) -> None:
        """Write why the run ended. If it ended before the first step, write to a new file."""
        with self._faults_told():
            self.folder.mkdir(parents=True, exist_ok=True)
            append_events(self.path or new_event_file(self.folder), [error_event(line)])

    @contextmanager
    def _faults_told(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self.path = None
            problem = f"cannot be written ({error.strerror or first_line(error)})"
            print(f"warning: {self.folder}: {problem}; the run trains on without a live curve", file=sys.stderr)


@contextmanager
def live_curve(study: str | None, run: RunName) -> Generator[LiveCurve | None]:
    """The curve of a run, for the block that trains and saves it; None without a study."""
    if study is None:
        yield None
        return
    curve = LiveCurve(curve_folder(study, run))
    try:
        yield curve
    except Exception as error:  # a run that a signal stops has not failed
        curve.fail(first_line(error))
        raise
    curve.end()


def _epoch(row: Mapping[str, float], known: Epoch) -> Epoch:
    """The known values of an epoch, and its row of the history under TensorBoard's tags."""
    return Epoch(known.ended, known.values | {_tag(name): value for name, value in row.items() if name != "epoch"})


def _tag(column: str) -> str:
    """TensorBoard's tag of a column: loss/total for loss_total."""
    group, _, name = column.partition("_")
    return f"{group}/{name}" if group in GROUPS else f"{OTHERS}/{column}"
