"""The whole of params.yaml, and what it says of the evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from src.errors import UserError
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
from src.params.types import (
    LONGEST_NAME,
    MOST_BINS,
    ArmName,
    ClaimMetric,
    FamilyName,
    Positive,
    Role,
    Section,
    Seed,
    Share,
    TaskName,
    Whole,
)

PARAMS_FILE = Path("params.yaml")
Trials = Annotated[list[str], Field(min_length=1)]


class Pair(Section):
    """Two arms or families to compare besides the arms that are compared anyway."""

    role: Role
    """Whether arms of teachers or of students."""
    arm: str
    """An arm or a family."""
    against: str
    """What it is compared with."""

    @model_validator(mode="after")
    def _are_two(self) -> "Pair":
        if self.arm == self.against:
            raise ValueError("arm and against should be two arms")
        return self


class Families(Section):
    """Arms that are trials of one idea, by role; on each task one of them stands for the family."""

    teacher: dict[FamilyName, Trials] = Field(default_factory=dict)
    """By family: its arms among the teachers."""
    student: dict[FamilyName, Trials] = Field(default_factory=dict)
    """By family: its arms among the students, such as kd-cmi_max."""

    def of(self, role: Role) -> dict[str, list[str]]:
        """The families of a role: the trials of each."""
        return getattr(self, role)

    def listed(self) -> list[tuple[Role, str, list[str]]]:
        """Every family with its role and its trials."""
        return [(role, family, trials) for role in get_args(Role) for family, trials in self.of(role).items()]


class Claim(Section):
    """That a family, or an arm, differs from another in a direction; docs/protocol.md says how it is judged.

    `metric` None is each task's first one. `worthwhile` is the smallest difference worth having, in the metric's unit.
    """

    statement: Annotated[str, Field(min_length=1)]
    """The claim in words."""
    role: Role
    """Whether it is of teachers or of students."""
    family: str
    """A family, or an arm."""
    against: str
    """What the family is compared with."""
    direction: Literal["higher", "lower"]
    """Whether higher or lower values are claimed."""
    metric: ClaimMetric | None = None
    """null: each task's first one."""
    worthwhile: Positive
    """The smallest difference worth having, in the metric's unit."""

    @model_validator(mode="after")
    def _are_two(self) -> "Claim":
        if self.family == self.against:
            raise ValueError("family and against should be two")
        return self


class EvaluateSection(Section):
    """How arms are measured and compared."""

    baseline: ArmName
    """The teacher arm that the others are compared with."""
    families: Families = Field(default_factory=Families)
    """Arms that are trials of one idea; on each task the best one on selection stands for them all."""
    pairs: list[Pair] = Field(default_factory=list)
    """More comparisons."""
    claims: dict[ArmName, Claim] = Field(default_factory=dict)
    """By name: what the study is asked, judged by docs/protocol.md."""
    ece_bins: Annotated[Whole, Field(ge=1, le=MOST_BINS)]
    """Bins of the expected calibration error."""
    confidence: Share
    """Of all intervals."""


class MoreSeeds(Section):
    """Tasks that run more seeds, and which; both are empty or neither is."""

    tasks: list[TaskName]
    """Names from task_settings."""
    seeds: list[Seed]
    """What these tasks run beside the seeds of all."""

    @model_validator(mode="after")
    def _both_or_neither(self) -> "MoreSeeds":
        if bool(self.tasks) != bool(self.seeds):
            raise ValueError("tasks and seeds should both be empty, or neither")
        return self


class Params(Section):
    """The whole of params.yaml."""

    study: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=LONGEST_NAME)]
    """Results go to metrics/<study>/ and plots/<study>/."""
    tasks: Annotated[list[TaskName], Field(min_length=1)]
    """Tasks that run: names from task_settings."""
    seeds: Annotated[list[Seed], Field(min_length=1)]
    """Arms of one seed are paired: same head, batches and dropout masks."""
    more_seeds: MoreSeeds
    """Small tests are noisy, and small tasks cost little: these run more seeds."""
    models: Models
    """Pre-trained models."""
    runtime: Runtime
    """How runs execute and what they keep."""
    checkpoints: CheckpointSettings
    """No result depends on these: changing them makes no finished run stale."""
    objective: ObjectiveDefaults
    """Defaults of every arm and recipe, which may override any of them."""
    finetune: ArmsSection
    """Teachers."""
    student: ArmsSection
    """Students; the training is that of distilled ones too."""
    distill: DistillSection
    """Students that learn from teachers."""
    evaluate: EvaluateSection
    """How arms are measured and compared."""
    splits: Splits
    """How rows are split."""
    glue: Glue
    """Where the tasks of source glue come from."""
    task_settings: dict[TaskName, TaskSettings]
    """By name: the tasks."""

    def task(self, name: str) -> TaskSettings:
        """The settings of one task."""
        return entry(self.task_settings, "task_settings", name)

    def seeds_of(self, task: str) -> list[int]:
        """The seeds of a task's runs."""
        return self.seeds + (self.more_seeds.seeds if task in self.more_seeds.tasks else [])

    def teacher(self, task: str, arm: str) -> RunSettings:
        """The settings of a teacher arm's runs on a task."""
        of_task, arms = self.task(task), entry(self.finetune.arms, "finetune.arms", arm)
        training = (self.finetune.training, of_task.training.teacher)
        return self._run(self.models.teacher, training, arms, of_task.arms.teacher.get(arm))

    def plain_student(self, task: str, arm: str) -> RunSettings:
        """The settings on a task of the runs of a student that has no teacher."""
        of_task, arms = self.task(task), entry(self.student.arms, "student.arms", arm)
        training = (self.student.training, of_task.training.student)
        return self._run(self.models.student, training, arms, of_task.arms.student.get(arm))

    def distilled_student(self, task: str, recipe: str) -> RunSettings:
        """The settings on a task of the runs of a student that learns by a recipe."""
        of_task, recipes = self.task(task), entry(self.distill.recipes, "distill.recipes", recipe)
        training = (self.student.training, of_task.training.student)
        return self._run(self.models.student, training, recipes, of_task.arms.recipe.get(recipe))

    def _run(
        self, model: ModelSource, training: tuple[Training, TrainingOverrides], arm: Arm, of_task: Arm | None
    ) -> RunSettings:
        """The more particular overrides the more general: a task the section, an arm the task, a task's arm the arm."""
        objective, (base, changes) = self.objective.model_dump(), training
        overrides = changes.model_dump(exclude_none=True)
        for own in (arm, of_task or Arm()):
            objective |= own.model_dump(exclude_none=True, exclude={"training"})
            overrides |= own.training.model_dump(exclude_none=True)
        own_training = base.model_copy(update=overrides)
        return RunSettings(model, Objective(**objective), own_training, self.runtime, self.checkpoints)


def entry(entries: Mapping[str, Any], key: str, name: str) -> Any:
    """A named entry of a section; a `UserError` where there is none."""
    if name not in entries:
        raise UserError(f"{PARAMS_FILE}: {key}", f"has no entry '{name}'", f"allowed: {', '.join(entries)}")
    return entries[name]
