"""The models that read a task's texts in a study, with their max_length and batch_size."""

from dataclasses import dataclass

from src.params import ModelSource, Params, RunSettings


@dataclass(frozen=True)
class Reader:
    """The runs of a role: their model, the lengths that they cut rows to, and their smallest batch."""

    role: str
    model: ModelSource
    max_lengths: list[int]
    batch_size: int


def readers_of(params: Params, task: str) -> list[Reader]:
    """The teachers and the students of a task. All students have the same model."""
    teachers = [params.teacher(task, arm) for arm in params.finetune.arms]
    students = [params.plain_student(task, arm) for arm in params.student.arms]
    students += [params.distilled_student(task, recipe) for recipe in params.distill.recipes]
    return [_reader(role, runs) for role, runs in (("teacher", teachers), ("student", students)) if runs]


def _reader(role: str, runs: list[RunSettings]) -> Reader:
    lengths = sorted({run.training.max_length for run in runs})
    return Reader(role, runs[0].model, lengths, min(run.training.batch_size for run in runs))
