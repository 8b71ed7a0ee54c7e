"""Runs of arms and seeds that params.yaml no longer asks for.

`collect` depends on the folder of a task's runs, because DVC takes no list of dependencies from params.yaml. A run left
there changes the folder's hash. Equal results would then have another dvc.lock than in a fresh clone.
"""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from src.runs import RUNS_FOLDER, RunName
from src.system.write_faults import faults_named

ASIDE = RUNS_FOLDER / ".aside"


def set_aside(task: str, wanted: Iterable[RunName]) -> None:
    """Move the unwanted runs of a task below `runs/.aside`, and name each on stderr.

    Raises:
        CannotWrite: a folder cannot be moved.
    """
    asked = {name.folder() for name in wanted}
    found = {record.parent for record in (RUNS_FOLDER / task).glob("*/*/*/record.json")}
    for run in sorted(found - asked):
        target = ASIDE / run.relative_to(RUNS_FOLDER)
        _move(run, target)
        print(f"warning: params.yaml does not ask for {run}; this run is moved to {target}", file=sys.stderr)


def bring_back(wanted: Iterable[RunName]) -> None:
    """Move wanted runs that are missing in `runs/` back from `runs/.aside`, and say on stderr how many.

    Raises:
        CannotWrite: a folder cannot be moved.
    """
    moved = [name for name in wanted if _is_aside(name)]
    for name in moved:
        _move(name.folder(ASIDE), name.folder())
    if moved:
        more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        print(f"params.yaml asks again for {moved[0].folder()}{more}: moved back from {ASIDE}", file=sys.stderr)


def _is_aside(name: RunName) -> bool:
    return (name.folder(ASIDE) / "record.json").is_file() and not (name.folder() / "record.json").is_file()


def _move(run: Path, target: Path) -> None:
    with faults_named(target), faults_named(run):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(run, target)
