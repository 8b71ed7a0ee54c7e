"""Train the runs of params.yaml without DVC, in processes that import once and train one run after the other.

Use it on a machine without DVC, or for runs that are shorter than a stage's imports. `data/` must have the prepared
data. Existing runs stay, so the same command continues a study. Runs that `collect` moved to `runs/.aside` come back if
params.yaml asks for them. Only `dvc repro` checks that runs match their code, data and settings.
"""

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from src.arms import distilled_arm, teachers_of
from src.parallel.options import count
from src.parallel.pool import Job, run_jobs
from src.parallel.progress import Progress, counted
from src.params import Params, load_params
from src.runs import RUNS_FOLDER, RunName, runs_of_task
from src.study.records.leftovers import bring_back
from src.system.errors import UserError, stage
from stages.distill import distil
from stages.finetune import finetune
from stages.student import train_student

LOGS = Path("logs/pool")
TRAIN: dict[str, Callable[..., None]] = {"teacher": finetune, "student": train_student, "distilled": distil}


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=count, default=1, help="runs at a time (default: 1)")
    parser.add_argument("--seconds", type=float, help="start no more runs after this time")
    add_arms_option(parser)
    arguments = parser.parse_args()

    params = load_params()
    bring_back(name for task in params.tasks for name in runs_of_task(params, task))
    all_jobs = of_arms(jobs_of(params), arguments.arms) if arguments.arms else jobs_of(params)
    jobs = [job for job in all_jobs if not _is_made(job)]
    made = len(all_jobs) - len(jobs)
    print(f"{counted(len(jobs), 'run')} to train, {made} exist already; logs in {LOGS}", file=sys.stderr, flush=True)
    progress = Progress(len(jobs), arguments.workers, "run")
    run_jobs(jobs, train, arguments.workers, LOGS, progress.ended, arguments.seconds)

    progress.tell_failures()
    if missing := sum(not _is_made(job) for job in jobs):
        problem = f"{missing} of {len(jobs)} runs are missing, {len(progress.failures)} of them failed"
        raise UserError(LOGS, problem, "correct the errors and run again")


def train(kind: str, *chosen: str | int | None) -> None:
    """Train one run in a worker."""
    TRAIN[kind](load_params(), *chosen)


def jobs_of(params: Params) -> list[Job]:
    """All runs of a study, seed by seed, so that an interrupted study has whole seeds."""
    seeds = [*params.seeds, *params.more_seeds.seeds]
    return [job for seed in seeds for task in params.tasks for job in _jobs_of_unit(params, task, seed)]


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
    """A task's runs of one seed, teachers first; empty if the task does not run that seed."""
    if seed not in params.seeds_of(task):
        return []

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


def _is_made(job: Job) -> bool:
    return (RUNS_FOLDER / job.name / "record.json").is_file()


if __name__ == "__main__":
    main()
