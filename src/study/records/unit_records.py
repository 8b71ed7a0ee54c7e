"""Records of units, for a study whose parts run on machines that share no disk.

    metrics/<study>/units/<task>-<seed>/    the files of `src.study.records.task_records`, with the runs of one seed
                                            settings.json    their arms and resolved settings

`join_units` makes the records of a task from those of its seeds. They equal the records that `collect` makes if all
runs are on one disk.
"""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from src.arms import arms_of
from src.core.training_code import training_code
from src.params import Params
from src.repository.settings import settings_of_task
from src.runs import runs_of_task
from src.study import UNIT_SETTINGS as SETTINGS
from src.study import unit_folder
from src.study.records.task_records import distinct, records_folder
from src.system.errors import UserError
from src.system.files import (
    new_folder,
    read_csv_texts,
    read_json,
    read_parquet,
    sha256_of,
    write_csv,
    write_json,
    write_parquet,
)

COPIED = ("task.json", "code.json", "selection_labels.parquet", "test_labels.parquet")
SAME = (*COPIED, SETTINGS)  # in all units of a task
JOINED_TEXTS = ("runs.csv", "history.csv")
FILES = (*SAME, *JOINED_TEXTS, "environment.json", "predictions.parquet", "clusters.parquet")


def check_joinable(params: Params) -> None:
    """Refuse a study with a second test set or folds.

    The intervals of a second test set need products of runs from different units. With folds, each unit has other rows.

    Raises:
        UserError: names the task.
    """
    for task in params.tasks:
        keys = {"also_test": params.task(task).also_test is not None, "folds": params.folds_of(task) > 1}
        if refused := [key for key, asked in keys.items() if asked]:
            problem = "its records cannot be joined from units"
            raise UserError(f"task_settings.{task}.{refused[0]}", problem, "run all seeds of this study on one disk")


def keep_unit(params: Params, task: str, seed: int) -> Path:
    """Collect a task's runs of one seed from runs/, and return the folder of their records.

    Raises:
        UserError: a run is missing, or its rows are not those of the prepared task.
    """
    from src.study.records.collecting import collect_task  # it imports torch, which takes seconds

    names = [name for name in runs_of_task(params, task) if name.seed == seed]
    folder = unit_folder(params.study, task, seed)
    collect_task(task, names, folder, params.evaluate.ece_bins, min(params.seeds_of(task)))
    write_json(folder / SETTINGS, _settings(params, task))
    return folder


def is_kept(params: Params, task: str, seed: int) -> bool:
    """Whether the records of a task's runs of one seed are there.

    Raises:
        UserError: they are of other settings or other code.
    """
    folder = unit_folder(params.study, task, seed)
    if not _is_whole(folder):
        return False
    wanted = {SETTINGS: _settings(params, task), "code.json": {"sha256": training_code()}}
    if changed := [name for name, content in wanted.items() if read_json(folder / name) != content]:
        problem = f"{changed[0]} is not that of the study's present settings and code"
        allowed = f"go back to those of its run, or delete this folder and runs/{task}/*/*/{seed} to run the unit again"
        raise UserError(folder, problem, allowed)
    return True


def check_units(params: Params, tasks: list[str]) -> None:
    """Check that all units of the tasks are whole, and fit each other and the study.

    Raises:
        UserError: as in `join_units`.
    """
    of_tasks = {task: _units(params, task) for task in tasks}
    _check_all_there([unit for units in of_tasks.values() for unit in units])
    for task, units in of_tasks.items():
        _check_same(units)
        _check_settings(units[0] / SETTINGS, _settings(params, task))


def join_units(params: Params, task: str) -> None:
    """Make the records of a task from those of its units.

    Raises:
        UserError: a unit is missing, two units differ in data or code, or the study's settings have changed.
    """
    check_units(params, [task])
    units = _units(params, task)
    with new_folder(records_folder(params.study, task)) as draft:
        for name in (*COPIED, "clusters.parquet"):
            shutil.copy2(_with_first_seed(units, params, task) / name, draft)
        environments = [one for unit in units for one in read_json(unit / "environment.json")]
        write_json(draft / "environment.json", distinct(environments))
        for name in JOINED_TEXTS:
            write_csv(draft / name, _below_each_other([read_csv_texts(unit / name) for unit in units]))
        predictions = [read_parquet(unit / "predictions.parquet") for unit in units]
        write_parquet(draft / "predictions.parquet", _below_each_other(predictions))


def _units(params: Params, task: str) -> list[Path]:
    return [unit_folder(params.study, task, seed) for seed in params.seeds_of(task)]


def _is_whole(unit: Path) -> bool:
    return all((unit / name).is_file() for name in FILES)


def _settings(params: Params, task: str) -> dict[str, Any]:
    return {"arms": arms_of(params), "files": settings_of_task(params, task)}


def _with_first_seed(units: list[Path], params: Params, task: str) -> Path:
    seeds = params.seeds_of(task)
    return units[seeds.index(min(seeds))]


def _check_all_there(units: list[Path]) -> None:
    missing = [unit for unit in units if not _is_whole(unit)]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        allowed = "run `python -m stages.study --name ... --keep` or `python -m stages.pool --name ...`"
        raise UserError(missing[0], f"is missing or lacks a file{more}", allowed)


def _check_same(units: list[Path]) -> None:
    for name in SAME:
        for unit in units[1:]:
            if sha256_of(unit / name) != sha256_of(units[0] / name):
                problem = f"differs from {units[0] / name}: the data, settings or code of the two units differ"
                raise UserError(unit / name, problem, "run one of the two units again")


def _check_settings(kept: Path, wanted: dict[str, Any]) -> None:
    if read_json(kept) != wanted:
        problem = "differs from the study's present settings"
        raise UserError(kept, problem, "run the study's parts again, or undo the change of the study")


def _below_each_other(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all units in the order of `collect`: by arm, then by seed in the order of params.yaml."""
    whole = pd.concat(tables, ignore_index=True)
    arms = whole.groupby(["role", "arm"], sort=False, observed=True).ngroup()
    return whole.iloc[arms.argsort(kind="stable")].reset_index(drop=True)
