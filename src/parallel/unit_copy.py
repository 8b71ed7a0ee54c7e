"""The copy of the repository in which a unit runs, and the return of its results.

The copy lies in .dvc/tmp, like the copies of DVC's own experiments, so that its runs find the repository's checkpoints.
Its params.yaml asks for one task and one seed, because DVC's work per stage grows with the number of stages. Finished
data and runs are hard links, which DVC and this project replace but never write into.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc.config import Config
from dvc.utils.serialize import dump_yaml, load_yaml, modify_yaml
from ruamel.yaml.comments import CommentedMap

from src.data.prepared import DATA_FOLDER
from src.parallel.units import UNITS_FOLDER, Unit, in_copy, params_of_unit
from src.params import PARAMS_FILE
from src.repository.settings import SETTINGS_FOLDER
from src.runs import RUNS_FOLDER, TIMING_FOLDER
from src.system.files import new_file, new_folder
from src.system.write_faults import faults_named

LOCK_FILE = Path("dvc.lock")
CODE = ("dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/config.local", "src", "stages", str(SETTINGS_FOLDER))
Entries = dict[str, dict[str, Any]]  # the entries of dvc.lock, by stage


def make_unit_copy(unit: Unit, content: dict[str, Any], entries: Entries, cache: Path) -> Path:
    """Replace the copy of a unit by a new one, and return its folder.

    Args:
        unit: the unit.
        content: the content of params.yaml.
        entries: the entries of the repository's dvc.lock.
        cache: the folder of DVC's cache.

    Raises:
        CannotWrite: the disk is full, or permission is missing.
    """
    folder = UNITS_FOLDER / unit.name
    copy_repository(folder, content | params_of_unit(unit.task, unit.seed), cache)
    with faults_named(folder):
        for part in (DATA_FOLDER / unit.task, *_runs(unit, RUNS_FOLDER)):
            _copied(part, folder / part, _linked)
        needed = (f"prepare@{unit.task}", *unit.stages)
        known = {in_copy(stage): entries[stage] for stage in needed if stage in entries}
        dump_yaml(folder / LOCK_FILE, {"schema": "2.0", "stages": known})
    return folder


def copy_repository(folder: Path, content: dict[str, Any], cache: Path) -> None:
    """Replace a folder by a copy of the pipeline's code, with `content` as its params.yaml and without results.

    Raises:
        CannotWrite: the disk is full, or permission is missing.
    """
    with faults_named(folder):
        shutil.rmtree(folder, ignore_errors=True)
        for part in filter(os.path.exists, CODE):
            _copied(Path(part), folder / part, shutil.copy2)
        dump_yaml(folder / PARAMS_FILE, content)
        _configure(folder / ".dvc", cache)


def take_results(unit: Unit, folder: Path) -> Entries:
    """Move the runs of a unit to their places in the repository, and return their entries for its dvc.lock.

    Old results of a failed stage stay in the repository: the unit no longer has them.

    Raises:
        CannotWrite: permission is missing.
    """
    found = {stage: entry for stage, entry in entries_of(unit, folder).items() if _is_there(entry, folder)}
    timings = [run.relative_to(folder) for run in _runs(unit, folder / TIMING_FOLDER, ".json")]
    for path in (*outputs_of(found), *timings):
        _moved(folder / path, path)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def entries_of(unit: Unit, folder: Path) -> Entries:
    """The entries of a unit's stages in the dvc.lock of its copy, by their names in the repository."""
    made = load_yaml(folder / LOCK_FILE)["stages"]
    return {stage: made[in_copy(stage)] for stage in unit.stages if in_copy(stage) in made}


def outputs_of(entries: Entries) -> list[Path]:
    """The paths of all outputs in some entries."""
    return [Path(output["path"]) for entry in entries.values() for output in entry["outs"]]


def _is_there(entry: dict[str, Any], folder: Path) -> bool:
    return all((folder / output["path"]).exists() for output in entry["outs"])


def read_entries() -> Entries:
    """The entries of the repository's dvc.lock."""
    return load_yaml(LOCK_FILE).get("stages", {}) if LOCK_FILE.exists() else {}


def join_entries(new: Entries, order: list[str]) -> None:
    """Write entries into the repository's dvc.lock. New ones take their places in `order`, the order of dvc.yaml."""
    if not new:
        return
    places = {stage: place for place, stage in enumerate(order)}
    with modify_yaml(LOCK_FILE) as lock:
        lock.setdefault("schema", "2.0")
        stages = lock.setdefault("stages", CommentedMap())
        for stage in sorted(new, key=places.__getitem__):
            after = [place for place, known in enumerate(stages) if places.get(known, 0) > places[stage]]
            if stage in stages or not after:
                stages[stage] = new[stage]
            else:
                stages.insert(after[0], stage, new[stage])


def _runs(unit: Unit, root: Path, ending: str = "") -> list[Path]:
    return sorted((root / unit.task).glob(f"*/*/{unit.seed}{ending}"))


def _copied(source: Path, target: Path, copy: Callable[[Path, Path], object]) -> None:
    """Copy a file, or all files of a folder. `shutil.copytree` would hide the error number of a fault."""
    files = [path for path in source.rglob("*") if path.is_file()] if source.is_dir() else [source]
    for path in (path for path in files if "__pycache__" not in path.parts):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        copy(path, place)


def _linked(source: Path, target: Path) -> None:
    """Make a hard link, or a copy if the file is on another disk or cannot be linked."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)


def _moved(source: Path, target: Path) -> None:
    """Replace `target` by a file, or by a folder of the same files."""
    if source.is_dir():
        with new_folder(target) as draft:
            for part in source.iterdir():
                shutil.move(part, draft / part.name)
    else:
        with new_file(target) as draft:
            shutil.move(source, draft)


def _configure(folder: Path, cache: Path) -> None:
    """Configure DVC in a copy: without git, with the repository's cache, and with its databases in the copy."""
    with Config(str(folder)).edit("local") as local:
        local["core"] |= {"no_scm": True, "site_cache_dir": str((folder / "tmp/site").resolve())}
        local["cache"]["dir"] = str(cache)
