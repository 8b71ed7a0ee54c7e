"""Train the runs of a study without DVC, in processes that import once and do one run after the other.

Use it on a machine without DVC, or for runs that are shorter than a stage's imports. Without `--name` it runs the study
of params.yaml, and `data/` must have its prepared data. With `--name` it runs a study of studies/: it prepares the data
too, and as soon as a task's runs of one seed are done, it writes their records to metrics/<name>/units/ for
`stages.join`.

A run stays if its settings and those of its teacher are the study's, so the same command continues a study. Other runs
in its place are deleted. Runs that `collect` moved to `runs/.aside` come back if params.yaml asks for them. Only
`dvc repro` checks that runs match their code, their data and the changes of `distill.mapped`.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

from src.arms import distilled_arm, settings_of, teachers_of
from src.core.machine.device import precision_of
from src.data.preparation import prepare_task
from src.kept_models import MODEL
from src.parallel.pool import Job, run_jobs
from src.parallel.progress import Progress
from src.parallel.slots import worker_slots
from src.parallel.units import launchers_lock
from src.params import Params, load_params
from src.runs import RUNS_FOLDER, RunName, runs_of_task
from src.study.claims.pairs import pairs_to_compare
from src.study.named.overrides import study_text
from src.study.named.workspace import check_unchanged, params_in_place, tell_uncommitted
from src.study.records.leftovers import bring_back
from src.study.records.unit_records import check_joinable, is_kept, keep_unit
from src.system.command_line import count
from src.system.errors import UserError, stage
from src.system.files import read_json
from src.system.printing import counted
from stages.distill import distil
from stages.finetune import finetune
from stages.student import train_student

LOGS = Path("logs/pool")
WORK: dict[str, Callable[..., object]] = {
    "teacher": finetune,
    "student": train_student,
    "distilled": distil,
    "records": keep_unit,
}


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--name",
        help="a study in studies/: prepare its data, train its runs and keep their records (default: params.yaml)",
    )
    parser.add_argument("--workers", type=count, default=1, help="runs at a time (default: 1)")
    parser.add_argument(
        "--seconds", type=float, help="start no more runs after this time, which includes the preparation"
    )
    add_arms_option(parser)
    arguments = parser.parse_args()
    if arguments.name and arguments.arms:
        parser.error("--arms cannot go with --name, because records need all arms")

    until = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    if arguments.name:
        with launchers_lock():  # a study takes the place of params.yaml
            train_study(arguments.name, arguments.workers, until)
        return
    params = load_params()
    pairs_to_compare(params)  # a misspelt arm of a claim would else be found after the training
    do(params, jobs_of(params), arguments.workers, until, arms=arguments.arms)


def train_study(name: str, workers: int, until: float | None) -> None:
    """Prepare the data of a study, train its runs and keep the records of its units. Units that are kept stay."""
    check_unchanged()
    tell_uncommitted(name)
    with params_in_place(study_text(name), stays=False):
        params = load_params()
        check_joinable(params)
        whole = _units(params)
        units = [unit for unit in whole if not is_kept(params, *unit)]
        print(f"{counted(len(units), 'unit')} of {len(whole)} to do", file=sys.stderr, flush=True)
        for task in dict.fromkeys(task for task, _ in units):
            prepare_task(task, params)
        do(params, [job for unit in units for job in jobs_with_records(params, *unit)], workers, until, "job")


def do(
    params: Params,
    all_jobs: list[Job],
    workers: int,
    until: float | None,
    noun: str = "run",
    arms: Collection[str] = (),
) -> None:
    """Do the jobs that are not done, or those of some arms.

    Raises:
        UserError: a job failed, or the time was over.
    """
    bring_back(name for task in params.tasks for name in runs_of_task(params, task))
    chosen = {job.name for job in (of_arms(all_jobs, arms) if arms else all_jobs)}
    stale = unmade(params, all_jobs)
    for job in stale:  # also of other arms: once their teacher is trained again, they would seem to be done
        shutil.rmtree(RUNS_FOLDER / job.name, ignore_errors=True)
    jobs = [job for job in stale if job.name in chosen]
    made = len(chosen) - len(jobs)
    print(f"{counted(len(jobs), noun)} to do, {made} exist already; logs in {LOGS}", file=sys.stderr, flush=True)
    progress = Progress(len(jobs), workers, noun)
    slots = worker_slots(workers, params.runtime)
    run_jobs(jobs, work, slots, LOGS, progress.ended, None if until is None else until - time.monotonic())

    progress.tell_failures()
    if missing := len(unmade(params, jobs)):
        problem = f"{missing} of {len(jobs)} {noun}s are missing, {len(progress.failures)} of them failed"
        allowed = "correct the errors and run again" if progress.failures else "run the same command again"
        raise UserError(LOGS, problem, allowed)


def unmade(params: Params, jobs: list[Job]) -> list[Job]:
    """The jobs that are not done, with those that need one of them: a student of a new teacher is a new student."""
    found: dict[str, Job] = {}
    for job in jobs:
        if not (_is_made(params, job) and found.keys().isdisjoint(job.needs)):
            found[job.name] = job
    return list(found.values())


def work(kind: str, *chosen: str | int | None) -> None:
    """Do one job in a worker."""
    WORK[kind](load_params(), *chosen)


def jobs_of(params: Params) -> list[Job]:
    """All runs of a study, seed by seed, so that an interrupted study has whole seeds."""
    return [job for task, seed in _units(params) for job in _jobs_of_unit(params, task, seed)]


def jobs_with_records(params: Params, task: str, seed: int) -> list[Job]:
    """A task's runs of one seed, and their records."""
    runs = _jobs_of_unit(params, task, seed)
    return [*runs, Job(f"records of {task}-{seed}", ("records", task, seed), tuple(job.name for job in runs), True)]


def _units(params: Params) -> list[tuple[str, int]]:
    """The tasks and seeds of a study, seed by seed."""
    seeds = [*params.seeds, *params.more_seeds.seeds]
    return [(task, seed) for seed in seeds for task in params.tasks if seed in params.seeds_of(task)]


def add_arms_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--arms`, a list for `of_arms`, to a command."""
    parser.add_argument(
        "--arms",
        nargs="+",
        default=[],
        metavar="ARM",
        help="only these arms, and the teachers that their students need",
    )


def of_arms(jobs: list[Job], arms: Collection[str]) -> list[Job]:
    """The runs of the named arms, and of the teachers that their students need. `arms` names teachers and students.

    Raises:
        UserError: the study lacks an arm.
    """
    known = dict.fromkeys(_arm(job) for job in jobs)
    if unknown := [arm for arm in arms if arm not in known]:
        raise UserError("--arms", f"the study has no arm '{unknown[0]}'", f"allowed: {', '.join(known)}")
    wanted = {job.name for job in jobs if _arm(job) in arms}
    wanted |= {need for job in jobs if job.name in wanted for need in job.needs}
    return [job for job in jobs if job.name in wanted]


def _jobs_of_unit(params: Params, task: str, seed: int) -> list[Job]:
    """A task's runs of one seed, teachers first."""

    def teacher(arm: str) -> str:
        return str(RunName(task, "teacher", arm, seed))

    def student(arm: str) -> str:
        return str(RunName(task, "student", arm, seed))

    jobs = [Job(teacher(arm), ("teacher", task, arm, seed)) for arm in params.finetune.arms]
    jobs += [Job(student(arm), ("student", task, arm, seed)) for arm in params.student.arms]
    for recipe in params.distill.recipes:
        for name, change in teachers_of(params).items():
            needs = tuple(teacher(arm) for arm in ([name] if change is None else change.arms.values()))
            jobs.append(Job(student(distilled_arm(recipe, name)), ("distilled", task, recipe, name, seed), needs))
    return jobs


def _arm(job: Job) -> str:
    return job.name.split("/")[2]


def _is_made(params: Params, job: Job) -> bool:
    """Whether records are there, or a run with the settings that the study has now."""
    kind, task, *_, seed = job.arguments
    if kind == "records":
        return is_kept(params, task, seed)
    settings = settings_of(params, task, "teacher" if kind == "teacher" else "student", _arm(job))
    folder = RUNS_FOLDER / job.name
    if not (folder / "record.json").is_file() or (params.runtime.keep_weights and not (folder / MODEL).is_dir()):
        return False
    record = read_json(folder / "record.json")
    same_settings = settings.recorded().items() <= record.items()
    return same_settings and record["environment"]["precision"] == precision_of(params.runtime)


if __name__ == "__main__":
    main()
