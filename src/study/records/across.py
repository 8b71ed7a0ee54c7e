"""Differences between two arms of finished studies, also of two studies with the same test rows and seeds."""

from dataclasses import dataclass

from src.study import METRICS_FOLDER, run_command
from src.study.records.scores import predicted_rows
from src.study.records.task_records import TaskRecords, load_records
from src.study.statistics.intervals import Estimate
from src.study.statistics.row_values import PredictedRows, Statistic, run_values, statistics_of
from src.system.errors import UserError
from src.system.files import is_file


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
    if len(parts) != 3:
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
    raise UserError(folder, "holds no records", f"run `{run_command(study)}`, or name another study")


def difference(task: str, first: StudyArm, second: StudyArm, metric: str | None = None) -> Difference:
    """Compare two arms on the seeds that both have. Runs of equal seeds are paired.

    Args:
        metric: by default the first metric of the task.

    Raises:
        UserError: an arm or the metric is unknown, the arms share no seed, or the test rows are not the same.
    """
    own, other = (load_records(arm.study, task) for arm in (first, second))
    _check_same_rows(task, own, other, first, second)
    runs, others = _predictions(own, first), _predictions(other, second)
    seeds = sorted(runs.keys() & others.keys())
    if not seeds:
        raise UserError(f"task {task}", f"{first} and {second} share no seed", "name arms with runs of equal seeds")
    name = metric or own.primary
    statistic = _statistic(name, own)
    paired = [*(runs[seed] for seed in seeds), *(others[seed] for seed in seeds)]
    values = run_values([statistic(run) for run in paired], own.text_clusters)
    count = len(seeds)
    return Difference(task, name, count, values.estimate([*range(count)], [*range(count, 2 * count)]))


def _check_same_rows(task: str, own: TaskRecords, other: TaskRecords, first: StudyArm, second: StudyArm) -> None:
    columns = ["row_id", "label"]
    if max(own.folds, other.folds) > 1:
        raise UserError(f"task {task}", "its seeds test different rows (folds)", "make both arms part of one study")
    if not own.labels["test"][columns].equals(other.labels["test"][columns]):
        problem = f"{first.study} and {second.study} have other test rows"
        raise UserError(f"task {task}", problem, "leave the task out with --without")


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
    """A metric by its name. ECE is none of them, because it has no interval.

    Raises:
        UserError: the task has no such metric.
    """
    known = statistics_of([*records.task["metrics"], "auc"], records.human("test") is not None, ece_bins=1)
    del known["ece"]
    if name not in known:
        raise UserError(f"--metric {name}", f"is no metric of {records.task['task']}", f"allowed: {', '.join(known)}")
    return known[name]
