"""Train the runs of a study without DVC, in processes that import once and do one run after the other.

Use it on a machine without DVC, or for runs that are shorter than a stage's imports. Without `--name` it runs the study
of params.yaml, and `data/` must have its prepared data. With `--name` it runs a study of studies/: it prepares the data
too, and as soon as a task's runs of one seed are done, it writes their records to metrics/<name>/units/ for
`stages.join`.

A run stays if it and its teacher were made from the study's present settings, code and data, so the same command
continues a study. Other runs in its place are deleted. Runs that `collect` moved to `runs/.aside` come back if
params.yaml asks for them. Of a run that the pool did not make, it compares model, objective, training and precision
only; `dvc repro` compares the rest.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from src.core.machine.device import free_memory
from src.data.preparation import prepare_task
from src.parallel.options import add_arms_option
from src.parallel.pool import Ended, Job, run_jobs
from src.parallel.progress import Progress
from src.parallel.slots import mps, worker_slots
from src.parallel.units import launchers_lock
from src.params import Params, load_params
from src.runs import RUNS_FOLDER, runs_of_task
from src.study.claims.pairs import pairs_to_compare
from src.study.named.jobs import RunJob, jobs_of, jobs_with_records, of_arms, units_of_study, unmade
from src.study.named.origins import Origins
from src.study.named.overrides import study_text
from src.study.named.workspace import check_unchanged, params_in_place, tell_uncommitted
from src.study.records.leftovers import bring_back
from src.study.records.unit_records import check_joinable, is_kept, keep_unit
from src.system.command_line import count
from src.system.errors import UserError, stage
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
    parser.add_argument("--mps", action="store_true", help="on an NVIDIA GPU: let the runs share it at the same time")
    arguments = parser.parse_args()
    if arguments.name and arguments.arms:
        parser.error("--arms cannot go with --name, because records need all arms")

    with launchers_lock(), mps() if arguments.mps else nullcontext():  # two pools would share runs/
        train(arguments)


def train(arguments: argparse.Namespace) -> None:
    """Train the named study, or the study of params.yaml."""
    until = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    if arguments.name:
        train_study(arguments.name, arguments.workers, until)
        return
    params = load_params()
    pairs_to_compare(params)  # a misspelt arm of a claim would else be found after the training
    jobs = jobs_of(params)
    chosen = of_arms(jobs, arguments.arms) if arguments.arms else None
    do(params, jobs, arguments.workers, until, "run", chosen)


def train_study(name: str, workers: int, until: float | None) -> None:
    """Prepare the data of a study, train its runs and keep the records of its units. Units that are kept stay."""
    check_unchanged()
    tell_uncommitted(name)
    with params_in_place(study_text(name), stays=False):
        params = load_params()
        check_joinable(params)
        whole = units_of_study(params)
        units = [unit for unit in whole if not is_kept(params, *unit)]
        print(f"{counted(len(units), 'unit')} of {len(whole)} to do", file=sys.stderr, flush=True)
        for task in dict.fromkeys(task for task, _ in units):
            prepare_task(task, params)
        do(params, [job for unit in units for job in jobs_with_records(params, *unit)], workers, until)


def do(
    params: Params,
    all_jobs: Sequence[Job],
    workers: int,
    until: float | None,
    noun: str = "job",
    chosen: Sequence[Job] | None = None,
) -> None:
    """Do the jobs that are not done, or the chosen ones of them.

    Raises:
        UserError: a job failed, or the time was over.
    """
    bring_back(name for task in params.tasks for name in runs_of_task(params, task))
    wanted = {job.name for job in (all_jobs if chosen is None else chosen)}
    origins = Origins(params)
    stale = unmade(params, all_jobs, origins)
    deleted = _delete(stale)  # also what is not chosen: once its teacher is trained again, it would seem to be done
    jobs = [job for job in stale if job.name in wanted]
    told = f", {deleted} deleted because they or their teacher do not fit the settings, code or data" if deleted else ""
    print(f"{counted(len(jobs), noun)} to do, {len(wanted) - len(jobs)} exist already{told}; logs in {LOGS}",
          file=sys.stderr, flush=True)  # fmt: skip
    progress = Progress(len(jobs), workers, noun)
    slots = worker_slots(workers, params.runtime)
    left = None if until is None else until - time.monotonic()
    run_jobs(jobs, partial(work, params), slots, LOGS, _noting(jobs, origins, progress.ended), left)

    progress.tell_failures()
    if missing := len(unmade(params, jobs, origins)):
        problem = f"{missing} of {len(jobs)} {noun}s are missing, {len(progress.failures)} of them failed"
        allowed = "correct the errors and run again" if progress.failures else "run the same command again"
        raise UserError(LOGS, problem, allowed)


def _noting(jobs: Sequence[Job], origins: Origins, then: Ended) -> Ended:
    """Write down the origins of each run that ends well, and then call `then`."""
    runs = {job.name: job for job in jobs if isinstance(job, RunJob)}

    def ended(name: str, failure: str | None) -> None:
        if failure is None and name in runs:
            origins.write(runs[name].run, runs[name].needs)
        then(name, failure)

    return ended


def _delete(jobs: Sequence[Job]) -> int:
    """Delete what earlier runs of these jobs left, and return their number."""
    left = [folder for job in jobs if (folder := RUNS_FOLDER / job.name).exists()]
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return sum(not folder.exists() for folder in left)


def work(params: Params, kind: str, *chosen: str | int | None) -> None:
    """Do one job in a worker. A params.yaml that has changed since the start has no effect."""
    try:
        WORK[kind](params, *chosen)
    finally:
        free_memory()


if __name__ == "__main__":
    main()
