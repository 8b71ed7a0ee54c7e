"""Differences between two arms of finished studies. Both arms may belong to one study, or to two."""

from dataclasses import dataclass
from typing import get_args

import numpy as np

from src.data.sources.labelled_text import CLUSTER
from src.params.types import ClaimMetric
from src.study import METRICS_FOLDER, run_command, study_file
from src.study.records.scores import predicted_rows
from src.study.records.task_records import TaskRecords, load_records
from src.study.statistics.intervals import Estimate
from src.study.statistics.row_values import PredictedRows, Statistic, run_values, statistics_of
from src.system.errors import UserError
from src.system.files import is_file

LEAVE_OUT = "leave the task out with --without"


@dataclass(frozen=True)
class StudyArm:
    """An arm of a study; `role` is teacher or student."""

    study: str
    role: str
    arm: str

    def __str__(self) -> str:
        return f"{self.study}/{self.role}/{self.arm}"


@dataclass(frozen=True)
class Difference:
    """The first arm minus the second on a task: the metric, the number of seeds, and the mean with its error."""

    task: str
    metric: str
    seeds: int
    found: Estimate


def read_arm(text: str) -> StudyArm:
    """An arm from its name, such as glue-minilm/teacher/ce.

    Raises:
        UserError: the name has not three parts.
    """
    parts = text.split("/")
    if len(parts) != 3 or any(part.strip(".") == "" for part in parts):
        raise UserError(text, "is not the name of an arm", "write STUDY/ROLE/ARM, such as glue-minilm/teacher/ce")
    return StudyArm(*parts)


def shared_tasks(first: StudyArm, second: StudyArm) -> list[str]:
    """The tasks of which both studies have records.

    Raises:
        UserError: a study has no records, or the studies share no task.
    """
    own, others = (_recorded_tasks(arm.study) for arm in (first, second))
    if shared := [task for task in own if task in others]:
        return shared
    raise UserError(first.study, f"shares no task with {second.study}", f"its tasks are {', '.join(own)}")


def _recorded_tasks(study: str) -> list[str]:
    folder = METRICS_FOLDER / study / "records"
    if tasks := sorted(file.parent.name for file in folder.glob("*/task.json") if is_file(file)):
        return tasks
    finished = sorted(path.parent.name for path in METRICS_FOLDER.glob("*/records"))
    allowed = f"run `{run_command(study)}`" if study_file(study).is_file() else f"allowed: {', '.join(finished)}"
    raise UserError(f"study {study}", "has no records", allowed)


def difference(task: str, first: StudyArm, second: StudyArm, metric: str | None = None) -> Difference:
    """Compare two arms on the seeds that both have. Runs of equal seeds are paired.

    Args:
        metric: by default the first metric of the task.

    Raises:
        UserError: an arm or the metric is unknown, the arms share no seed, or the test rows differ.
    """
    own, other = (load_records(arm.study, task) for arm in (first, second))
    _check_same_rows(own, other, first, second)
    name = metric or _shared_metric(own, other)
    statistic = _statistic(name, own)
    runs, others = _predictions(own, first), _predictions(other, second)
    seeds = sorted(runs.keys() & others.keys())
    if not seeds:
        raise UserError(f"task {task}", f"{first} and {second} share no seed", f"name other arms, or {LEAVE_OUT}")
    paired = [*(runs[seed] for seed in seeds), *(others[seed] for seed in seeds)]
    values = run_values([statistic(run) for run in paired], _clusters(own, other))
    count = len(seeds)
    return Difference(task, name, count, values.estimate([*range(count)], [*range(count, 2 * count)]))


def _check_same_rows(own: TaskRecords, other: TaskRecords, first: StudyArm, second: StudyArm) -> None:
    where = f"task {own.task['task']}"
    if max(own.folds, other.folds) > 1:
        allowed = f"add the pair to evaluate.pairs of the study, or {LEAVE_OUT}"
        raise UserError(where, "each seed tests another fold", allowed)
    labels = [records.labels["test"].drop(columns=CLUSTER, errors="ignore") for records in (own, other)]
    texts = [(records.task["label_names"], records.task["splits"]["test"]["sha256"]) for records in (own, other)]
    if not (labels[0].equals(labels[1]) and texts[0] == texts[1]):
        raise UserError(where, f"{first.study} and {second.study} have different test rows", LEAVE_OUT)


def _shared_metric(own: TaskRecords, other: TaskRecords) -> str:
    if own.primary == other.primary:
        return own.primary
    problem = f"the studies have different first metrics ({own.primary}, {other.primary})"
    raise UserError(f"task {own.task['task']}", problem, "name one with --metric")


def _clusters(own: TaskRecords, other: TaskRecords) -> np.ndarray | None:
    """The clusters of test rows that share texts. Some old records do not know them, and those of the other count."""
    return other.text_clusters if own.text_clusters is None else own.text_clusters


def _predictions(records: TaskRecords, arm: StudyArm) -> dict[int, PredictedRows]:
    """The test predictions of an arm's runs by seed.

    Raises:
        UserError: the study has no such arm.
    """
    runs = list(records.runs[["role", "arm", "seed"]].itertuples(index=False, name=None))
    keys = [key for key in runs if key[:2] == (arm.role, arm.arm)]
    if not keys:
        known = dict.fromkeys(f"{role}/{name}" for role, name, _ in runs)
        raise UserError(arm, f"no such arm on task {records.task['task']}", f"allowed: {', '.join(known)}")
    return dict(zip((seed for *_, seed in keys), predicted_rows(records, keys), strict=True))


def _statistic(name: str, records: TaskRecords) -> Statistic:
    """A metric that a claim may name.

    Raises:
        UserError: the task has no such metric.
    """
    found = statistics_of([*records.task["metrics"], "auc"], records.human("test") is not None, ece_bins=1)
    known = {metric: statistic for metric, statistic in found.items() if metric in get_args(ClaimMetric)}
    if name not in known:
        allowed = f"allowed: {', '.join(known)}; or {LEAVE_OUT}"
        raise UserError(f"--metric {name}", f"is no metric of task {records.task['task']}", allowed)
    return known[name]
