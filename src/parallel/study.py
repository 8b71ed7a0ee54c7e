"""`dvc repro` with its training stages side by side: first `settings` and `prepare`, then the units."""

import shutil
import subprocess
import sys
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dvc.repo import Repo

from src.parallel.dvc_process import own_tools
from src.parallel.launcher import Engine, Launcher
from src.parallel.options import Options
from src.parallel.processes import LocalProcesses
from src.parallel.progress import Progress
from src.parallel.ray_tasks import ray_tasks
from src.parallel.slots import slots
from src.parallel.unit_copy import join_entries, make_unit_copy, read_entries, take_results
from src.parallel.units import Part, Unit, part_of, stale, units_of
from src.params import PARAMS_FILE, Params, load_params, read_yaml
from src.repository.dvc_needs import check_dvc_can_work, dvc_faults_named
from src.repository.settings import settings_are_written
from src.system.errors import UserError
from src.system.interrupts import Stopped
from src.system.printing import counted

LOGS_FOLDER = Path("logs")
FIRST = ("--single-item", "settings", "prepare")  # without --single-item DVC takes tasks in a random order


def run_units(options: Options, only: Collection[Unit] | None = None) -> bool:
    """Bring the training stages of params.yaml up to date, several at a time, and write dvc.lock.

    Call it inside `only_launcher`.

    Args:
        only: the units of the part that may run; None: all of them.

    Returns:
        Whether a stage of the pipeline was stale.

    Raises:
        UserError: a unit failed.
        Stopped: a signal came. Unfinished runs have their checkpoints.
    """
    pipeline = _pipeline()
    check_dvc_can_work(pipeline.cache)
    params = load_params()
    changed = bool(pipeline.changed) or not settings_are_written(params)
    if changed and units_of(pipeline.commands):
        run_dvc("repro", *FIRST)
        pipeline = _pipeline()
    part = part_of(units_of(pipeline.commands), options.part) if only is None else only
    if units := stale(part, pipeline.changed):
        with _engine(options, params, pipeline.cache) as engine:
            _run(units, params, pipeline, engine)
    return changed


def units_of_part(part: Part) -> list[Unit]:
    """The units of a part of the study in params.yaml."""
    return part_of(units_of(_pipeline().commands), part)


def up_to_date(units: Collection[Unit]) -> list[Unit]:
    """The units without a stale stage."""
    changed = stale(units, _pipeline().changed)
    return [unit for unit in units if unit not in changed]


def run_dvc(*arguments: str) -> None:
    """Run DVC with `run_to_its_end`."""
    run_to_its_end(sys.executable, "-m", "dvc", *arguments)


def run_to_its_end(*command: str) -> None:
    """Run a command with this interpreter's tools on its path. If it fails, exit with its status.

    Raises:
        Stopped: a signal came, and the command has ended.
    """
    process = subprocess.Popen(command, env=own_tools())
    try:
        status = process.wait()
    except Stopped as stopped:  # a terminal sends its signal to the command too, but `kill` does not
        process.send_signal(stopped.number)
        process.wait()
        raise
    if status:
        sys.exit(status)


def check_identity() -> None:
    """Check before a study that DVC can commit its experiment at the end.

    Raises:
        UserError: git is not installed, or does not know the user.
    """
    if shutil.which("git") is None:
        problem = "is not on the path, and DVC needs it for an experiment"
        raise UserError("git", problem, "install it, or run `make repro` instead")
    for key in ("user.name", "user.email"):
        if subprocess.run(["git", "config", key], capture_output=True, check=False).returncode != 0:
            problem = "is not set, and DVC needs it for an experiment"
            raise UserError(f"git {key}", problem, f"run `git config {key} ...`")


@dataclass(frozen=True)
class _Pipeline:
    """DVC's view of the pipeline: each stage's command in the order of dvc.yaml, the stale stages, and its cache.

    `changed` leaves out `settings`, which runs every time, so DVC cannot tell whether it is stale.
    """

    commands: dict[str, str]
    changed: list[str]
    cache: Path


def _pipeline() -> _Pipeline:
    with dvc_faults_named(), Repo() as repo:
        commands = {stage.addressing: stage.cmd for stage in repo.index.stages if isinstance(stage.cmd, str)}
        changed = [stage for stage, reasons in repo.status().items() if reasons != ["always changed"]]
        return _Pipeline(commands, changed, Path(repo.cache.local_cache_dir).resolve())


@contextmanager
def _engine(options: Options, params: Params, cache: Path) -> Generator[Engine]:
    if options.ray is None:
        yield LocalProcesses(slots(options.jobs, options.per_gpu, params.runtime))
    else:
        with ray_tasks(options.ray, options.jobs, options.per_gpu, params.runtime, cache) as engine:
            yield engine


def _run(units: list[Unit], params: Params, pipeline: _Pipeline, engine: Engine) -> None:
    content, entries, new = read_yaml(PARAMS_FILE), read_entries(), {}

    def copy_of(unit: Unit) -> Path:
        return make_unit_copy(unit, content, entries, pipeline.cache)

    launcher, at_once = Launcher(engine, copy_of, LOGS_FOLDER / params.study), len(engine.slots)
    progress = Progress(len(units), at_once)
    told = f"{counted(len(units), 'unit')}, {at_once} at a time; logs in {launcher.logs}"
    print(told, file=sys.stderr, flush=True)
    try:
        for outcome in launcher.run(units):
            failure = outcome.failure
            try:
                new |= take_results(outcome.unit, outcome.folder) if outcome.folder else {}
            except UserError as error:
                failure = f"error: {error}"
            progress.ended(outcome.unit.name, failure)
    finally:
        join_entries(new, list(pipeline.commands))
    progress.tell_failures()
    if progress.failures:
        problem = f"{len(progress.failures)} of {counted(len(units), 'unit')} failed"
        raise UserError(launcher.logs, problem, "correct the errors and run again")
