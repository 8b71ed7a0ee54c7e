"""What the runs of a pool were made from. DVC compares it in its own way; a pool writes it down beside the runs.

runs/.origins/<task>/<role>/<arm>/<seed>.json    settings, code, data and teachers of a run; the hash of its files
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from src.core.training_code import training_code
from src.data.prepared import DATA_FOLDER, SPLITS_FOLDER
from src.params import Params
from src.repository.fingerprints import FileHashes
from src.repository.settings import SETTINGS_FOLDER, settings_files
from src.runs import RUNS_FOLDER, RunName
from src.system.files import read_json, write_json

ORIGINS = RUNS_FOLDER / ".origins"


class Origins:
    """The origins of a study's runs: the settings, code and data that it had when this object was made."""

    def __init__(self, params: Params) -> None:
        self._hashes = FileHashes({})  # reads each file once
        self._settings = settings_files(params)
        self._code = training_code()
        folders = {task: DATA_FOLDER / task / SPLITS_FOLDER for task in params.tasks}
        self._data = {task: self._hash(folder, folder.rglob("*")) for task, folder in folders.items()}

    def write(self, run: RunName, teachers: Iterable[str]) -> None:
        """Write down that a run was made from them, and from the present runs of these names.

        Raises:
            CannotWrite: the disk is full, or permission is missing.
        """
        write_json(_place(run), {"from": self._of(run, teachers), "files": self._files(run)})

    def differ(self, run: RunName, teachers: Iterable[str]) -> bool:
        """Whether a run was made from others. False if the pool did not make it, so that nothing is known.

        Raises:
            UserError: the file of its origins is damaged.
        """
        place = _place(run)
        if not place.is_file():
            return False
        known = read_json(place)
        return known["files"] == self._files(run) and known["from"] != self._of(run, teachers)

    def _of(self, run: RunName, teachers: Iterable[str]) -> dict[str, Any]:
        return {
            "settings": self._settings_of(run),
            "code": self._code,
            "data": self._data[run.task],
            "teachers": self._hash(RUNS_FOLDER, [RUNS_FOLDER / name / "logits.parquet" for name in teachers]),
        }

    def _settings_of(self, run: RunName) -> dict[str, Any]:
        """The settings files on which the run's stage in dvc.yaml depends, by their paths."""
        names = [f"{run.role}/{run.arm}"]
        if "-" in run.arm:  # a distilled student
            recipe, _, teacher = run.arm.partition("-")
            names = [f"recipe/{recipe}", f"mapped/{teacher}"]
        paths = [SETTINGS_FOLDER / run.task / f"{name}.json" for name in names]
        return {path.as_posix(): self._settings[path] for path in paths if path in self._settings}

    def _files(self, run: RunName) -> str:
        """The hash of the files of a run, without its weights."""
        return self._hash(run.folder(), run.folder().glob("*"))

    def _hash(self, folder: Path, paths: Iterable[Path]) -> str:
        return self._hashes.fingerprint(folder, filter(Path.is_file, paths))


def _place(run: RunName) -> Path:
    return ORIGINS / f"{run}.json"
