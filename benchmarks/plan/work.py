"""The work of a study's runs in rows, and the time that it takes at given speeds.

It leaves out an early end by patience, passes for frozen centroids, checkpoints, and the stages after training.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from benchmarks.plan.tasks import TaskRows
from src.arms import distilled_arms
from src.core.method.terms import passes_in
from src.params import Params, Role, RunSettings

STARTUP = 5.0  # seconds per run: imports, data and model (docs/speed.md)
PREDICTION = 1 / 3  # the cost of a prediction over a training step's, if it is not measured


@dataclass(frozen=True)
class Speed:
    """The seconds of a row: a part that is equal for all rows, and a part per token."""

    row: float
    token: float = 0.0

    def seconds(self, rows: float, tokens: float) -> float:
        """The seconds of a number of rows with a number of tokens each."""
        return rows * (self.row + self.token * tokens)


@dataclass(frozen=True)
class Speeds:
    """The speeds of a role's runs, and the most memory of a process in 10^9 bytes (None if unknown)."""

    training: Speed
    predicting: Speed
    memory: float | None = None


def given_speeds(rate: float) -> Speeds:
    """The speeds that follow from a rate of training rows per second, without regard to tokens."""
    return Speeds(Speed(1 / rate), Speed(PREDICTION / rate))


@dataclass(frozen=True)
class Run:
    """The rows of a run: trained on in all epochs, measured after all epochs, and predicted at its end."""

    role: Role
    trained: int
    measured: int
    predicted: int
    tokens: float


@dataclass(frozen=True)
class Seconds:
    """Seconds of work by kind."""

    training: float = 0.0
    measuring: float = 0.0
    predicting: float = 0.0
    starting: float = 0.0

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(*(getattr(self, kind.name) + getattr(other, kind.name) for kind in fields(self)))

    @property
    def total(self) -> float:
        """The sum of all kinds."""
        return sum(getattr(self, kind.name) for kind in fields(self))


@dataclass(frozen=True)
class Unit:
    """The runs of one task and one seed, which one place trains one after the other."""

    task: str
    runs: list[Run]


def units_of_study(params: Params, rows: Mapping[str, TaskRows]) -> list[Unit]:
    """The units, in the order in which places take them."""
    return [Unit(task, runs_of_unit(params, task, rows[task])) for task in params.tasks for _ in params.seeds_of(task)]


def runs_of_unit(params: Params, task: str, rows: TaskRows) -> list[Run]:
    """The teachers and students of a unit."""
    teachers = [params.teacher(task, arm) for arm in params.finetune.arms]
    students = [params.plain_student(task, arm) for arm in params.student.arms]
    for recipe, arms in distilled_arms(params).items():
        students += [params.distilled_student(task, recipe)] * len(arms)
    runs: dict[Role, list[RunSettings]] = {"teacher": teachers, "student": students}
    return [run_of(role, settings, rows) for role, of_role in runs.items() for settings in of_role]


def run_of(role: Role, settings: RunSettings, rows: TaskRows) -> Run:
    """The work of one run. A teacher also predicts the rows from which its students learn."""
    training, learnt = settings.training, round(rows.train * settings.training.train_share)
    epochs = training.epochs + training.plain_epochs
    trained = passes_in(settings.objective) * (learnt + (rows.transfer if settings.objective.transfer else 0))
    measured = rows.selection + min(settings.runtime.diagnostic_rows, learnt)
    predicted = rows.selection + rows.test + rows.also_test
    if role == "teacher":
        predicted += rows.train + rows.transfer
    if training.head_epochs:  # these runs take only this pass
        predicted += learnt + rows.selection
    return Run(role, epochs * trained, epochs * measured, predicted, rows.tokens)


def seconds_of(run: Run, speeds: Mapping[Role, Speeds]) -> Seconds:
    """The seconds of a run if no other runs beside it."""
    own = speeds[run.role]
    return Seconds(
        own.training.seconds(run.trained, run.tokens),
        own.predicting.seconds(run.measured, run.tokens),
        own.predicting.seconds(run.predicted, run.tokens),
        STARTUP,
    )


def total_of(units: Iterable[Unit], speeds: Mapping[Role, Speeds]) -> Seconds:
    """The seconds of all runs, one at a time."""
    return sum((seconds_of(run, speeds) for unit in units for run in unit.runs), Seconds())


def wall_seconds(units: Iterable[Unit], speeds: Mapping[Role, Speeds], places: int) -> float:
    """The seconds until the last unit ends, if each free place takes the next unit, as in `stages.study --jobs`."""
    free_at = [0.0] * places
    for unit in units:
        heapq.heapreplace(free_at, free_at[0] + sum(seconds_of(run, speeds).total for run in unit.runs))
    return max(free_at)
