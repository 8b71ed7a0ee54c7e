"""The effect of clusters of test rows on the standard errors and verdicts of a finished study.

Records in git hold no texts, so the clusters come from the study's data, which must be on this machine. For a second
test set, records have sums over rows or over clusters. These stay as recorded.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from src.data.preparation import prepare_task
from src.data.prepared import load_test_labels
from src.data.sources.labelled_text import CLUSTER
from src.params import Params
from src.params.folds import folded_tasks
from src.study.claims.judging import judged_study
from src.study.records.scores import MeasuredTask, measured_task
from src.study.records.task_records import TaskRecords, load_records, records_folder
from src.system.errors import UserError


@dataclass(frozen=True)
class TaskEffect:
    """The clusters (N,) of a task's test rows, and their effect on standard errors of its first metric.

    `arms` and `differences` are ratios of standard errors, over clusters to over rows, for each arm's mean and for each
    comparison. Both are empty with fewer than five seeds.
    """

    task: str
    clusters: pd.Series
    arms: pd.Series
    differences: pd.Series

    @property
    def sharing(self) -> float:
        """The share of test rows that share a text or a document with another row."""
        return float(self.clusters.duplicated(keep=False).mean())


def effect_of_clusters(params: Params) -> tuple[list[TaskEffect], list[tuple[str, str, str]]]:
    """The effect on each task, and each claim with its verdict over rows and its verdict over clusters.

    Raises:
        UserError: the data are missing or differ from the records, or a task has folds.
    """
    for task in folded_tasks(params):
        problem = "its intervals are over folds, not over rows or clusters"
        raise UserError(f"study {params.study}: task {task}", problem, "name a study without folds")
    known = {task: _with_clusters(params, task, load_records(params.study, task)) for task in params.tasks}
    over_clusters, over_rows = (
        {task: (own, measured_task(own, params.evaluate.ece_bins)) for task, own in records.items()}
        for records in (known, {task: _without_clusters(own) for task, own in known.items()})
    )
    (clusters, by_clusters), (rows, by_rows) = (judged_study(params, tasks) for tasks in (over_clusters, over_rows))
    ratios = _ratios_of_differences(rows, clusters)
    tasks = [
        TaskEffect(
            task,
            own.labels["test"][CLUSTER],
            _ratios_of_arms(over_rows[task][1], over_clusters[task][1]),
            ratios.loc[ratios["task"].eq(task) & ratios["metric"].eq(own.primary), "ratio"].dropna(),
        )
        for task, own in known.items()
    ]
    return tasks, [(name, by_rows[name]["verdict"], by_clusters[name]["verdict"]) for name in by_rows]


def _with_clusters(params: Params, task: str, records: TaskRecords) -> TaskRecords:
    """The records with the clusters of their test rows, from the data."""
    with TemporaryDirectory() as folder:
        description = prepare_task(task, params, Path(folder))
        prepared = load_test_labels(task, Path(folder))
    ours, theirs = (described["splits"]["test"]["sha256"] for described in (description, records.task))
    if ours != theirs:
        where, problem = records_folder(params.study, task) / "task.json", "the data here have other test rows"
        raise UserError(where, problem, "use the data that the study's page names")
    return _labelled(records, records.labels["test"].assign(**{CLUSTER: prepared[CLUSTER].to_numpy()}))


def _without_clusters(records: TaskRecords) -> TaskRecords:
    return _labelled(records, records.labels["test"].drop(columns=CLUSTER))


def _labelled(records: TaskRecords, labels: pd.DataFrame) -> TaskRecords:
    return replace(records, labels=records.labels | {"test": labels})


def _ratios_of_arms(rows: MeasuredTask, clusters: MeasuredTask) -> pd.Series:
    errors = [
        [task.metrics[task.primary].estimate(lines).standard_error for lines in task.lines.values()]
        for task in (clusters, rows)
    ]
    return _ratio(*(pd.Series(own, dtype=float) for own in errors)).dropna()


def _ratios_of_differences(rows: pd.DataFrame, clusters: pd.DataFrame) -> pd.DataFrame:
    """The comparisons over rows, with the `ratio` of errors over clusters to over rows. The tables have equal lines."""
    return rows.assign(ratio=_ratio(clusters["standard_error"].astype(float), rows["standard_error"].astype(float)))


def _ratio(clusters: pd.Series, rows: pd.Series) -> pd.Series:
    """The ratios of errors, NaN where the error over rows is 0, as for arms that predict one label."""
    return clusters / rows.where(rows > 0)
