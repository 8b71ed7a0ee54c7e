"""The runs whose records a study has."""

import pandas as pd

from src.params import Params
from src.runs import RunName, runs_of_task
from src.study import run_command
from src.study.records.task_records import records_folder
from src.system.errors import UserError
from src.system.files import read_csv


def recorded_runs(study: str, task: str) -> pd.DataFrame:
    """The runs.csv of a task's records, with its runs as index."""
    table = read_csv(records_folder(study, task) / "runs.csv", text=["role", "arm"])
    names = zip(table["role"], table["arm"], table["seed"], strict=True)
    return table.set_index(pd.Index([RunName(task, role, arm, int(seed)) for role, arm, seed in names], dtype=object))


def check_runs(params: Params, task: str) -> None:
    """Check that a task's records have the runs that the study asks for, and no others.

    Raises:
        UserError: they do not; the error names a run.
    """
    folder, found = records_folder(params.study, task), dict.fromkeys(recorded_runs(params.study, task).index)
    asked = dict.fromkeys(runs_of_task(params, task))
    allowed = f"run `{run_command(params.study)}`, or undo the change of the study's settings"
    if missing := [run for run in asked if run not in found]:
        raise UserError(folder, f"lacks the run {missing[0]}, which the study asks for", allowed)
    if other := [run for run in found if run not in asked]:
        raise UserError(folder, f"has the run {other[0]}, which the study does not ask for", allowed)
