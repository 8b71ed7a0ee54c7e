"""The whole of params.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from src.params.evaluation import EvaluateSection
from src.params.models import CheckpointSettings, Models, ModelSource, Runtime
from src.params.runs import (
    Arm,
    ArmsSection,
    DistillSection,
    Objective,
    ObjectiveDefaults,
    RunSettings,
    Training,
    TrainingOverrides,
)
from src.params.tasks import Glue, Splits, TaskSettings
from src.params.types import LONGEST_NAME, Role, Section, Seed, TaskName
from src.system.errors import UserError

PARAMS_FILE = Path("params.yaml")


class MoreSeeds(Section):
    """Tasks that run more seeds, and these seeds. Both lists are empty or neither is."""

    tasks: list[TaskName]
    """Names from task_settings."""
    seeds: list[Seed]
    """Seeds of these tasks, in addition to the seeds of all tasks."""

    @model_validator(mode="after")
    def _both_or_neither(self) -> "MoreSeeds":
        if bool(self.tasks) != bool(self.seeds):
            raise ValueError("tasks and seeds should both be empty or both be filled")
        return self


class Submission(Section):
    """An arm whose best runs predict GLUE's official test splits."""

    role: Role
    """teacher or student."""
    arm: str
    """An arm of that role. A distilled student's arm is <recipe>-<teacher arm>."""


class Params(Section):
    """The whole of params.yaml."""

    study: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=LONGEST_NAME)]
    """Results go to metrics/<study>/ and plots/<study>/."""
    tasks: Annotated[list[TaskName], Field(min_length=1)]
    """Tasks to run: names from task_settings."""
    seeds: Annotated[list[Seed], Field(min_length=1)]
    """Seeds of all tasks. Arms of one seed are paired: they have the same head, batches and dropout masks."""
    more_seeds: MoreSeeds
    """More seeds for some tasks. Small test sets are noisy, and small tasks are cheap."""
    models: Models
    """Pre-trained models."""
    runtime: Runtime
    """How runs execute and what they keep."""
    checkpoints: CheckpointSettings
    """How often runs save checkpoints. No result depends on it; changing it makes no finished run stale."""
    objective: ObjectiveDefaults
    """Defaults of every arm and recipe, which may override any of them."""
    finetune: ArmsSection
    """Teachers."""
    student: ArmsSection
    """Students without a teacher. Distilled students have the same training."""
    distill: DistillSection
    """Students that learn from teachers."""
    evaluate: EvaluateSection
    """How arms are measured and compared."""
    splits: Splits
    """How rows are split."""
    glue: Glue
    """Where the tasks of source glue come from."""
    # Left out while empty, so records without this key stay valid.
    submit: list[Submission] = Field(default_factory=list, exclude_if=lambda arms: not arms)
    """Arms, such as {role: teacher, arm: cmi_min}, that predict GLUE's official test splits (docs/take-away.md). They
    need runtime.keep_weights.
    """
    task_settings: dict[TaskName, TaskSettings]
    """Tasks by name."""

    def task(self, name: str) -> TaskSettings:
        """The settings of one task."""
        return entry(self.task_settings, "task_settings", name)

    def seeds_of(self, task: str) -> list[int]:
        """The seeds of a task's runs."""
        return self.seeds + (self.more_seeds.seeds if task in self.more_seeds.tasks else [])

    def folds_of(self, task: str) -> int:
        """The number of folds of a task's cross-validation; 1 if its rows are cut once."""
        own = self.task(task).folds
        return (self.splits.folds if own is None else own) or 1

    def teacher(self, task: str, arm: str) -> RunSettings:
        """The settings of a teacher arm's runs on a task."""
        of_task, arms = self.task(task), entry(self.finetune.arms, "finetune.arms", arm)
        training = (self.finetune.training, of_task.training.teacher)
        return self._run(self.models.teacher, training, arms, of_task.arms.teacher.get(arm))

    def plain_student(self, task: str, arm: str) -> RunSettings:
        """The settings of the runs of a student without a teacher, on a task."""
        of_task, arms = self.task(task), entry(self.student.arms, "student.arms", arm)
        training = (self.student.training, of_task.training.student)
        return self._run(self.models.student, training, arms, of_task.arms.student.get(arm))

    def distilled_student(self, task: str, recipe: str) -> RunSettings:
        """The settings of the runs of a student that learns by a recipe, on a task."""
        of_task, recipes = self.task(task), entry(self.distill.recipes, "distill.recipes", recipe)
        training = (self.student.training, of_task.training.student)
        return self._run(self.models.student, training, recipes, of_task.arms.recipe.get(recipe))

    def _run(
        self, model: ModelSource, training: tuple[Training, TrainingOverrides], arm: Arm, of_task: Arm | None
    ) -> RunSettings:
        """The settings of a run. Later ones override earlier ones: the section, the task, the arm, the task's arm."""
        objective, (base, changes) = self.objective.model_dump(), training
        overrides = _told(changes)
        for own in (arm, of_task or Arm()):
            objective |= own.model_dump(exclude_none=True, exclude={"training"})
            overrides |= _told(own.training)
        own_training = Training(**(base.model_dump() | overrides))
        return RunSettings(model, Objective(**objective), own_training, self.runtime, self.checkpoints)


def _told(changes: TrainingOverrides) -> dict[str, Any]:
    """The keys that overrides set. Null sets a key that may be null, such as patience, and else sets nothing."""
    told = {key: getattr(changes, key) for key in changes.model_fields_set}
    return {key: value for key, value in told.items() if value is not None or Training.may_be_null(key)}


def entry(entries: Mapping[str, Any], key: str, name: str, path: Path = PARAMS_FILE) -> Any:
    """A named entry of a section of the file `path`.

    Raises:
        UserError: the section has no such entry.
    """
    if name not in entries:
        raise UserError(f"{path}: {key}", f"has no entry '{name}'", f"allowed: {', '.join(entries)}")
    return entries[name]
