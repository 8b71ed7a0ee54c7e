"""Event files for TensorBoard: one for each start of a run, with a record for each epoch.

    logs/tensorboard/<study>/<task>/<role>/<arm>/<seed>/events.out.tfevents.<seconds>.<host>.<process>.<nanoseconds>

They are no results: neither git nor DVC follows `logs/`. Copies of the repository below .dvc write to the repository's
folder. An experiment that DVC runs in a copy has the folder <study>@<experiment>.

TensorBoard's own record writer makes the records. Its `EventFileWriter` would add a thread, and would import TensorFlow
if that is installed.
"""

import os
import platform
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from src.core.deferred import defer
from src.runs import RunName
from src.system.errors import UserError
from src.system.files import repository_root

CURVES_FOLDER = Path("logs/tensorboard")
ON_NODES = "@ray"  # folder with a link to the curves that nodes of a Ray cluster write
VERSION = "brain.Event:2"  # the first record of each file names it


class Epoch(NamedTuple):
    """An epoch in TensorBoard: the time of its end (seconds since 1970), and numbers by tag."""

    ended: float
    values: dict[str, float]


class Curve(NamedTuple):
    """The content of a run's event files: its last start, and its epochs by number.

    Attributes:
        ended: when the results were saved; None before that.
        failed: when an error ended the run, and the error's line; None without an error.
    """

    began: float
    host: str
    process: int
    epochs: dict[int, Epoch]
    ended: float | None
    failed: tuple[float, str] | None


def curve_folder(study: str, run: RunName) -> Path:
    """The folder of a run's event file."""
    if "/.dvc/tmp/exps/" in Path.cwd().as_posix():
        study = f"{study}@{os.environ.get('DVC_EXP_NAME') or Path.cwd().name}"
    return run.folder(repository_root() / CURVES_FOLDER / study)


def new_event_file(folder: Path) -> Path:
    """A name in the form that TensorBoard looks for. A later start has a later name."""
    return folder / f"events.out.tfevents.{int(time.time()):010d}.{platform.node()}.{os.getpid()}.{time.time_ns()}"


def event_files(folder: Path) -> list[Path]:
    """The event files of a run, oldest first."""
    return sorted(folder.glob("events.out.tfevents.*"), key=began_at)


def began_at(path: Path) -> float:
    """The time when an event file was begun, in seconds since 1970, from the nanoseconds at the end of its name."""
    return int(path.suffix[1:]) / 1e9


def start_events(epochs: dict[int, Epoch]) -> Iterator[Any]:
    """The first records of a file. The second one makes TensorBoard forget older files of the run."""
    event = tensorboard().Event
    now = time.time()
    yield event(wall_time=now, file_version=VERSION)
    yield event(wall_time=now, step=0, session_log={"status": "START"})
    yield from (epoch_event(number, epoch) for number, epoch in epochs.items())


def epoch_event(number: int, epoch: Epoch) -> Any:
    """The record of an epoch."""
    values = [{"tag": tag, "simple_value": value} for tag, value in epoch.values.items()]
    return tensorboard().Event(wall_time=epoch.ended, step=number, summary={"value": values})


def end_event() -> Any:
    """The record that a run's results are saved."""
    return tensorboard().Event(wall_time=time.time(), session_log={"status": "STOP"})


def error_event(line: str) -> Any:
    """The record of an error that ended the run."""
    return tensorboard().Event(wall_time=time.time(), log_message={"level": "ERROR", "message": line})


def append_events(path: Path, events: Iterable[Any]) -> None:
    """Add records to a file and close it, so that a process that forks has no open file of a curve."""
    with path.open("ab") as file:
        writer = tensorboard().RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())


def read_curve(folder: Path) -> Curve | None:
    """Read the event files of a run; None if there are none. Records after damage in a file are left out."""
    files = event_files(folder)
    if not files:
        return None
    host, process = _writer_of(files[-1])
    epochs: dict[int, Epoch] = {}
    ended, failed = None, None
    for event in (event for path in files for event in _events_in(path)):
        kind = event.WhichOneof("what")
        if kind == "session_log" and event.session_log.status == event.session_log.START:
            epochs, ended, failed = {}, None, None
        elif kind == "session_log":
            ended = event.wall_time
        elif kind == "log_message":
            failed = event.wall_time, event.log_message.message
        elif kind == "summary":
            values = {value.tag: value.simple_value for value in event.summary.value}
            epochs[event.step] = Epoch(event.wall_time, values)
    return Curve(began_at(files[-1]), host, process, epochs, ended, failed)


def _writer_of(path: Path) -> tuple[str, int]:
    """The host and the process in a file's name. A host's name may have dots."""
    _, *host, process, _ = path.name.removeprefix("events.out.tfevents.").split(".")
    return ".".join(host), int(process)


def _events_in(path: Path) -> Iterator[Any]:
    library = tensorboard()
    try:
        reader = library.Reader(str(path))
        while True:
            reader.GetNext()
            yield library.Event.FromString(reader.record())
    except library.ENDS:
        return


def tensorboard() -> SimpleNamespace:
    """The parts of TensorBoard that event files need, imported when they are needed.

    Raises:
        UserError: TensorBoard is not installed.
    """
    defer("tensorboard.summary")  # it would import all of TensorBoard's plugins
    try:
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto import event_pb2
        from tensorboard.compat.tensorflow_stub import errors
        from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        allowed = "run `make setup`, or set runtime.live to false"
        raise UserError("tensorboard", f"cannot be imported ({error})", allowed) from None
    ends = (errors.OutOfRangeError, errors.DataLossError, errors.NotFoundError, DecodeError)
    proto: Any = event_pb2  # its classes are made during its import
    return SimpleNamespace(Event=proto.Event, RecordWriter=RecordWriter, Reader=PyRecordReader_New, ENDS=ends)
