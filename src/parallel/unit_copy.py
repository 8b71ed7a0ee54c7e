"""The copy of the repository in which a unit runs, and what is taken out of it.

The copy lies in .dvc/tmp, as those of DVC's own experiments do, so that its runs find the repository's checkpoints.
Its params.yaml asks for one task and one seed: DVC's work for a stage grows with the number of stages it knows. Data
and runs that are there already are hard links, which DVC and this project replace but never write into.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configobj import ConfigObj
from dvc.utils.serialize import dump_yaml, load_yaml, modify_yaml
from ruamel.yaml.comments import CommentedMap

from src.data.prepared import DATA_FOLDER
from src.parallel.units import Unit, in_copy
from src.params import PARAMS_FILE
from src.repository.settings import SETTINGS_FOLDER
from src.runs import RUNS_FOLDER, TIMING_FOLDER
from src.system.files import new_file, new_folder
from src.system.write_faults import faults_named

UNITS_FOLDER = Path(".dvc/tmp/units")
LOCK_FILE = Path("dvc.lock")
CODE = ("dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/config.local", "src", "stages", str(SETTINGS_FOLDER))
Entries = dict[str, dict[str, Any]]  # of dvc.lock, by the name of the stage


def make_unit_copy(unit: Unit, content: dict[str, Any], entries: Entries, cache: Path) -> Path:
    """Make the copy of a unit anew.

    Args:
        content: of params.yaml.
        entries: of the repository's dvc.lock.
        cache: the folder of DVC's cache.

    Raises:
        CannotWrite: no room, or no right to.
    """
    folder = UNITS_FOLDER / unit.name
    own = {"tasks": [unit.task], "seeds": [unit.seed], "more_seeds": {"tasks": [], "seeds": []}}
    copy_repository(folder, content | own, cache)
    with faults_named(folder):
        for part in (DATA_FOLDER / unit.task, *_runs(unit, RUNS_FOLDER)):
            _copied(part, folder / part, _linked)
        needed = (f"prepare@{unit.task}", *unit.stages)
        known = {in_copy(stage): entries[stage] for stage in needed if stage in entries}
        dump_yaml(folder / LOCK_FILE, {"schema": "2.0", "stages": known})
    return folder


def copy_repository(folder: Path, content: dict[str, Any], cache: Path) -> None:
    """Make a folder anew that has the pipeline's code, params of that content, and no results.

    Raises:
        CannotWrite: no room, or no right to.
    """
    with faults_named(folder):
        shutil.rmtree(folder, ignore_errors=True)
        for part in filter(os.path.exists, CODE):
            _copied(Path(part), folder / part, shutil.copy2)
        dump_yaml(folder / PARAMS_FILE, content)
        _configure(folder / ".dvc", cache)


def take_results(unit: Unit, folder: Path) -> Entries:
    """Move the runs of a unit to their places in the repository; their entries for its dvc.lock.

    What a stage that failed had made before is gone from the unit, and stays in the repository.

    Raises:
        CannotWrite: no right to.
    """
    found = {stage: entry for stage, entry in entries_of(unit, folder).items() if _is_there(entry, folder)}
    timings = [run.relative_to(folder) for run in _runs(unit, folder / TIMING_FOLDER, ".json")]
    for path in (*outputs_of(found), *timings):
        _moved(folder / path, path)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def entries_of(unit: Unit, folder: Path) -> Entries:
    """The entries of a unit's stages in the lock of its copy, by their names in the repository."""
    made = load_yaml(folder / LOCK_FILE)["stages"]
    return {stage: made[in_copy(stage)] for stage in unit.stages if in_copy(stage) in made}


def outputs_of(entries: Entries) -> list[Path]:
    """All outputs of some entries."""
    return [Path(output["path"]) for entry in entries.values() for output in entry["outs"]]


def _is_there(entry: dict[str, Any], folder: Path) -> bool:
    return all((folder / output["path"]).exists() for output in entry["outs"])


def read_entries() -> Entries:
    """The entries of the repository's dvc.lock."""
    return load_yaml(LOCK_FILE).get("stages", {}) if LOCK_FILE.exists() else {}


def join_entries(new: Entries, order: list[str]) -> None:
    """Write entries into the repository's dvc.lock; those that it lacks where `order`, that of dvc.yaml, has them."""
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
    """Copy a file, or all files of a folder; `shutil.copytree` would not say which fault it met."""
    files = [path for path in source.rglob("*") if path.is_file()] if source.is_dir() else [source]
    for path in (path for path in files if "__pycache__" not in path.parts):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        copy(path, place)


def _linked(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file lies on another disk, or may not be linked."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)


def _moved(source: Path, target: Path) -> None:
    """Move a file, or all that is in a folder, into the place of another."""
    if source.is_dir():
        with new_folder(target) as draft:
            for part in source.iterdir():
                shutil.move(part, draft / part.name)
    else:
        with new_file(target) as draft:
            shutil.move(source, draft)


def _configure(folder: Path, cache: Path) -> None:
    """No git there, the repository's cache, and DVC's own notes in the copy."""
    local = ConfigObj(str(folder / "config.local"))
    local.merge({
        "core": {"no_scm": "true", "site_cache_dir": str((folder / "tmp/site").resolve())},
        "cache": {"dir": str(cache)},
    })  # fmt: skip
    local.write()
