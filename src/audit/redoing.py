"""Redoing runs in a copy of the repository that has none of its results.

    audit/<study>/<task>-<seed>/    code, params of one unit, and later its data, runs, logs and records

The copy is outside `.dvc`, so it cannot reuse the repository's checkpoints or DVC's cache. Its params.yaml has absolute
paths in place of relative ones. A second call starts anew.
"""

import shutil
import sys
from collections.abc import Generator
from contextlib import chdir, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pandas as pd

from src.audit.choosing import AuditedUnit
from src.data.preparation import prepare_task
from src.data.prepared import load_description, load_selection_labels, load_test_labels
from src.data.sources.labelled_text import SEED
from src.parallel.study import run_to_its_end
from src.parallel.unit_copy import copy_repository
from src.parallel.units import params_of_unit
from src.params import Params, load_params
from src.study.named.overrides import study_content
from src.study.records.collecting import collect_task
from src.study.records.task_records import TaskRecords, described_splits, load_records, records_folder
from src.system.errors import UserError
from src.system.files import user_path
from src.system.locks import lock_if_free

AUDIT_FOLDER = Path("audit")


@contextmanager
def audit_copy(unit: AuditedUnit, keep: bool) -> Generator[Path]:
    """A copy of the repository for a unit; it is removed at the end, unless `keep` is set or a run failed.

    Raises:
        UserError: another process audits this unit.
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    folder = AUDIT_FOLDER / unit.study / unit.name
    lock = lock_if_free(folder.with_name(f".{unit.name}.lock"))
    if lock is None:
        raise UserError(folder, "another audit of this unit is running", "wait for its end, or stop it")
    try:
        copy_repository(folder, unit_content(unit), (folder / ".dvc/cache").resolve())
        yield folder
    except SystemExit:
        keep = True
        print(f"the copy is kept, with its logs: {folder}", file=sys.stderr)
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def unit_content(unit: AuditedUnit) -> dict[str, Any]:
    """The params of the study for one unit, with absolute paths."""
    content = deepcopy(study_content(unit.study)) | params_of_unit(unit.task, unit.seed)
    models = [model for model in content["models"].values() if model["source"] == "folder"]
    task = content["task_settings"][unit.task]
    named = [(model, "name") for model in models] + [(content["glue"], "folder")]
    named += [(one, "path") for one in (task, task.get("also_test") or {}) if one.get("source") == "folder"]
    named += [(task, "transfer_file")]
    for section, key in named:
        if section.get(key) is not None:
            section[key] = str(user_path(section[key]).absolute())
    return content


def redo(unit: AuditedUnit, params: Params, recorded: TaskRecords, folder: Path, workers: int) -> TaskRecords:
    """Prepare a unit's data, train its runs and collect their records, all in the copy.

    Raises:
        UserError: the data are missing, or differ from the records.
        SystemExit: a run failed; the pool has printed why.
    """
    arms = ["--arms", *unit.arms] if unit.arms else []
    of_task = records_folder(unit.study, unit.task)
    with chdir(folder):
        prepare_task(unit.task, load_params())
        check_same_data(of_task, recorded, unit.task)
        run_to_its_end(sys.executable, "-m", "stages.pool", "--workers", str(workers), *arms)
        collect_task(unit.task, unit.runs, of_task, params.evaluate.ece_bins, unit.seed)
        return load_records(unit.study, unit.task)


def check_same_data(records: Path, recorded: TaskRecords, task: str) -> None:
    """Refuse to train on data that differ from the records, because the results could not be compared.

    Raises:
        UserError: names the first row that differs, or the split whose texts do.
    """
    allowed = "use the data that the study's page names; other data cannot be compared"
    prepared = {"selection": load_selection_labels(task), "test": load_test_labels(task)}
    for split, ours in prepared.items():
        theirs, path = _of_same_seeds(recorded.labels[split], ours), records / f"{split}_labels.parquet"
        if len(ours) != len(theirs):
            raise UserError(path, f"has {len(theirs)} rows, but the prepared data have {len(ours)}", allowed)
        for column in ("row_id", "label"):
            if places := [*(ours[column].to_numpy() != theirs[column].to_numpy()).nonzero()[0]]:
                values = (table[column].iloc[places[0]] for table in (theirs, ours))
                problem = "row {} has {} {!s}, but the prepared data have {!s}".format(places[0], column, *values)
                raise UserError(path, problem, allowed)
    ours, theirs = described_splits(load_description(task)), described_splits(recorded.task)
    if other := [split for split in ours if ours[split]["sha256"] != theirs[split]["sha256"]]:
        problem = f"the prepared rows of {other[0]} differ from the records"
        raise UserError(records / "task.json", problem, allowed)


def _of_same_seeds(recorded: pd.DataFrame, prepared: pd.DataFrame) -> pd.DataFrame:
    """The recorded rows of the prepared seeds. For a task with folds, the copy has the splits of one seed."""
    return recorded[recorded[SEED].isin(prepared[SEED])] if SEED in recorded and SEED in prepared else recorded
