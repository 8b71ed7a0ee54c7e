"""A study as jobs of a pool: its runs, seed by seed, and the records of its units."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from src.arms import distilled_arm, settings_of, teachers_of
from src.core.machine.device import precision_of
from src.kept_models import MODEL
from src.parallel.pool import Job
from src.params import Params
from src.runs import RunName
from src.study.named.origins import Origins
from src.study.records.unit_records import is_kept
from src.system.errors import UserError
from src.system.files import read_json


@dataclass(frozen=True, kw_only=True)
class RunJob(Job):
    """The training of a run."""

    run: RunName


@dataclass(frozen=True, kw_only=True)
class RecordsJob(Job):
    """The records of a task's runs of one seed. They take little time, so they start even after the time is over."""

    task: str
    seed: int
    short: bool = True


def units_of_study(params: Params) -> list[tuple[str, int]]:
    """The tasks and seeds of a study, seed by seed, so that an interrupted study has whole seeds."""
    seeds = [*params.seeds, *params.more_seeds.seeds]
    return [(task, seed) for seed in seeds for task in params.tasks if seed in params.seeds_of(task)]


def jobs_of(params: Params) -> list[RunJob]:
    """All runs of a study, unit by unit."""
    return [job for task, seed in units_of_study(params) for job in _runs_of_unit(params, task, seed)]


def jobs_with_records(params: Params, task: str, seed: int) -> list[Job]:
    """A task's runs of one seed, and their records."""
    runs = _runs_of_unit(params, task, seed)
    needs = tuple(job.name for job in runs)
    records = RecordsJob(f"records of {task}-{seed}", ("records", task, seed), needs, task=task, seed=seed)
    return [*runs, records]


def _runs_of_unit(params: Params, task: str, seed: int) -> list[RunJob]:
    """A task's runs of one seed, teachers first."""
    jobs = [_job(RunName(task, "teacher", arm, seed), "teacher", arm) for arm in params.finetune.arms]
    jobs += [_job(RunName(task, "student", arm, seed), "student", arm) for arm in params.student.arms]
    for recipe in params.distill.recipes:
        for teacher, change in teachers_of(params).items():
            read = [teacher] if change is None else change.arms.values()
            needs = tuple(str(RunName(task, "teacher", arm, seed)) for arm in read)
            run = RunName(task, "student", distilled_arm(recipe, teacher), seed)
            jobs.append(_job(run, "distilled", recipe, teacher, needs=needs))
    return jobs


def _job(run: RunName, kind: str, *arms: str, needs: tuple[str, ...] = ()) -> RunJob:
    return RunJob(str(run), (kind, run.task, *arms, run.seed), needs, run=run)


def of_arms(jobs: Collection[RunJob], arms: Collection[str]) -> list[RunJob]:
    """The runs of the named arms, and of the teachers that their students need. `arms` names teachers and students.

    Raises:
        UserError: the study lacks an arm.
    """
    known = dict.fromkeys(job.run.arm for job in jobs)
    if unknown := [arm for arm in arms if arm not in known]:
        raise UserError("--arms", f"the study has no arm '{unknown[0]}'", f"allowed: {', '.join(known)}")
    wanted = {job.name for job in jobs if job.run.arm in arms}
    wanted |= {need for job in jobs if job.name in wanted for need in job.needs}
    return [job for job in jobs if job.name in wanted]


def unmade(params: Params, jobs: Iterable[Job], origins: Origins) -> list[Job]:
    """The jobs that are not done, with those that need one of them: a student of a new teacher is a new student."""
    found: dict[str, Job] = {}
    for job in jobs:
        if not (_is_made(params, job, origins) and found.keys().isdisjoint(job.needs)):
            found[job.name] = job
    return list(found.values())


def _is_made(params: Params, job: Job, origins: Origins) -> bool:
    """Whether records are there, or a run with the settings, and as far as known the origins, of the study now."""
    if isinstance(job, RecordsJob):
        return is_kept(params, job.task, job.seed)
    assert isinstance(job, RunJob)
    settings = settings_of(params, job.run.task, job.run.role, job.run.arm)
    folder = job.run.folder()
    if not (folder / "record.json").is_file() or (params.runtime.keep_weights and not (folder / MODEL).is_dir()):
        return False
    record = read_json(folder / "record.json")
    same_settings = settings.recorded().items() <= record.items()
    same_precision = record["environment"]["precision"] == precision_of(params.runtime)
    return same_settings and same_precision and not origins.differ(job.run, job.needs)
