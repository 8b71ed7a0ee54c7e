"""Histories of a study's teachers: the history.csv of each task, a line per epoch of each run."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tests.support.study_numbers import over_tasks_ratio, records

Histories = dict[str, pd.DataFrame]  # by task


def teachers_of(study: str, tasks: Iterable[str]) -> Histories:
    """The histories of a study's teachers."""
    return {task: records(study, task).history.query("role == 'teacher'") for task in tasks}


def last_epoch(histories: Histories) -> pd.DataFrame:
    """The last epoch of each teacher, indexed by task, arm and seed."""
    found = pd.concat(histories, names=["task"])
    found = found[found["epoch"] == found["epoch"].max()]
    return found.set_index(["arm", "seed"], append=True).droplevel(1)


def last_ratio(histories: Histories, measure: str, arm: str, against: str) -> float:
    """A measure of one arm over that of another after the last epoch: a geometric mean over seeds, then tasks."""
    logs = np.log(last_epoch(histories)[measure])
    ratio, _, _ = over_tasks_ratio(logs.xs(arm, level="arm") - logs.xs(against, level="arm"))
    return ratio
