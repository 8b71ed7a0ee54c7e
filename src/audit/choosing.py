"""The choice of a unit of a finished study for an audit, and an estimate of its time."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from src.arms import settings_of
from src.params import Params
from src.runs import TIMING_FOLDER, RunName
from src.study.named.jobs import RunJob
from src.study.records.recorded_runs import recorded_runs
from src.system.errors import UserError
from src.system.files import read_json
from src.system.printing import counted

# Train rows per second of a run on one core, including the evaluation after each epoch. They are for MiniLM-L6 and
# three of its layers on pairs of sentences. Rates measured in `timing/` replace them.
ROWS_PER_SECOND = {"teacher": 25.0, "student": 50.0}
START = 20.0  # seconds of imports and of preparing data, once
LOAD = 3.0  # seconds of loading a model and predicting, for each run


@dataclass(frozen=True)
class AuditedUnit:
    """The runs of one task and one seed that are redone: all of them, or those of `arms` with their teachers."""

    study: str
    task: str
    seed: int
    arms: tuple[str, ...]
    jobs: tuple[RunJob, ...]
    seconds: float

    @property
    def name(self) -> str:
        """The name of its folder and of its record."""
        return "-".join([self.task, str(self.seed), *self.arms])

    @property
    def command(self) -> str:
        """The command that redoes this unit."""
        arms = f" --arms {' '.join(self.arms)}" if self.arms else ""
        return f"python -m stages.audit --name {self.study} --task {self.task} --seed {self.seed}{arms}"

    @property
    def runs(self) -> list[RunName]:
        """Its runs, teachers first."""
        return [job.run for job in self.jobs]

    def __str__(self) -> str:
        runs, minutes = counted(len(self.jobs), "run"), counted(max(1, round(self.seconds / 60)), "minute")
        return f"study {self.study}, task {self.task}, seed {self.seed}: {runs}, about {minutes}"


def check_choice(params: Params, task: str | None, seed: int | None) -> None:
    """Refuse a task or a seed that the study lacks.

    Raises:
        UserError: names those that it has.
    """
    if task is not None and task not in params.tasks:
        raise UserError("--task", f"study {params.study} has no task '{task}'", f"allowed: {', '.join(params.tasks)}")
    tasks = params.tasks if task is None else [task]
    seeds = list(dict.fromkeys(one for name in tasks for one in params.seeds_of(name)))
    if seed is not None and seed not in seeds:
        where = f"study {params.study}" if task is None else f"task {task} of study {params.study}"
        raise UserError("--seed", f"{where} has no seed {seed}", f"allowed: {', '.join(map(str, seeds))}")


def units_to_choose_from(
    params: Params,
    jobs: Iterable[RunJob],
    task: str | None,
    seed: int | None,
    arms: tuple[str, ...],
    workers: int,
) -> list[AuditedUnit]:
    """The units of a study, or only those of `task` and `seed` if these are given.

    Args:
        jobs: the jobs of the study, or of some of its arms.
        workers: how many runs train at a time.
    """
    of_units: dict[tuple[str, int], list[RunJob]] = {}
    for job in jobs:
        if task in (None, job.run.task) and seed in (None, job.run.seed):
            of_units.setdefault((job.run.task, job.run.seed), []).append(job)
    steps, rate = _recorded_steps(params), _rows_per_second()
    found = []
    for (name, number), own in of_units.items():
        seconds = [_rows(job, steps, params) / rate(name, job.run.role) + LOAD for job in own]
        whole = START + max(sum(seconds) / workers, max(seconds))
        found.append(AuditedUnit(params.study, name, number, arms, tuple(own), whole))
    return found


def drawn_unit(units: list[AuditedUnit], hours: float) -> AuditedUnit:
    """A random unit of those that take at most `hours`.

    Raises:
        UserError: every unit takes longer.
    """
    if short := [unit for unit in units if unit.seconds <= 3600 * hours]:
        return random.choice(short)
    least = min(unit.seconds for unit in units) / 3600
    problem = f"no unit takes at most {hours:g} h; the shortest takes about {least:.1f} h"
    raise UserError("--hours", problem, "allow more hours, or train fewer arms with --arms")


def _recorded_steps(params: Params) -> dict[str, int]:
    """The steps of each recorded run by its name."""
    found: dict[str, int] = {}
    for task in params.tasks:
        found |= {str(run): steps for run, steps in recorded_runs(params.study, task)["steps"].items()}
    return found


def _rows(job: RunJob, steps: dict[str, int], params: Params) -> float:
    """The train rows that a run reads, over all epochs."""
    settings = settings_of(params, job.run.task, job.run.role, job.run.arm)
    return steps[job.name] * settings.training.batch_size


def _rows_per_second() -> Callable[[str, str], float]:
    """The rate of runs of a task and a role: the median in `timing/`, or else `ROWS_PER_SECOND`."""
    known: dict[tuple[str, str], float] = {}

    def rate(task: str, role: str) -> float:
        if (task, role) not in known:
            here = list(_timed(TIMING_FOLDER / task / role))
            known[task, role] = median(here) if here else ROWS_PER_SECOND[role]
        return known[task, role]

    return rate


def _timed(folder: Path) -> Iterator[float]:
    for path in folder.glob("*/*.json"):
        if (found := read_json(path).get("rows_per_second", 0)) > 0:
            yield found
