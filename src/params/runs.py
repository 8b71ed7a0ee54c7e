"""What params.yaml says of training runs: objectives, optimisation, and the arms that override them."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, create_model, field_validator, model_validator

from src.params.changed import Calibrated, Changed, Mapped, Matched
from src.params.models import CheckpointSettings, ModelSource, Runtime
from src.params.types import (
    AnyShare,
    ArmName,
    CentreMap,
    Centroid,
    Clusters,
    Count,
    CountOrZero,
    FeatureMap,
    Finite,
    KdLoss,
    KeptEpoch,
    LabelLoss,
    NonNegative,
    Positive,
    Real,
    Section,
    ShareOrZero,
    Space,
    Temperature,
    Tokens,
)


class ObjectiveDefaults(Section):
    """What an arm's objective is unless the arm says otherwise; docs/method.md gives it as a formula."""

    space: Space
    """The distribution that CMI is taken of. feature: softmax(h / tau), h the vector that enters the head, our reading
    of the paper. class: softmax(logits / tau), as in CMIC-DL and MCMI.
    """
    feature_map: FeatureMap = Field("softmax", exclude_if=lambda name: name == "softmax")  # as `accumulate` below
    """What makes a distribution of h in space feature. softmax: of h itself, which a smaller h brings to less CMI.
    unit_softmax, unit_sigmoid: of h less its mean and scaled to length 1: docs/method.md, CMI without the length.
    """
    tau: Temperature
    """Temperature of that softmax, up to 1e5."""
    centroid: Centroid
    """How class centroids are estimated: docs/method.md, Centroids."""
    momentum: ShareOrZero
    """Of the ema centroids."""
    clusters: Clusters = Field("class", exclude_if=lambda name: name == "class")
    """Rows that share a centroid. class: those of a label. all: every row, which makes the term I(X; Z), without the
    label: a control.
    """
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
    centre_weight: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Of centre loss: half the squared distance of h to the mean h of its label."""
    centre_map: CentreMap = Field("none", exclude_if=lambda name: name == "none")
    """The vector of centre loss. none: h. unit: h / |h|; the centres are then means of h / |h|."""
    norm_penalty: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Weight of the squared length of h."""
    contrastive_weight: AnyShare = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Share of supervised contrastive loss in the loss on labels: docs/controls.md, Rivals of CMI. Above 0 it needs one
    process and accumulate 1; 1 needs training.head_epochs or a teacher.
    """
    contrastive_tau: Temperature = Field(0.3, exclude_if=lambda tau: tau == 0.3)
    """Temperature of the similarities in supervised contrastive loss, up to 1e5."""
    label_loss: LabelLoss
    """ce: cross-entropy; mse: squared distance of the probabilities to the label."""
    label_smoothing: ShareOrZero
    """Share of the label that is spread over all classes; of cross-entropy only."""
    confidence_penalty: NonNegative
    """Weight of the reward for entropy of the predictions."""
    r_drop_weight: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Weight of R-Drop: the KL between two passes of a row under dropout. Above 0 a step takes twice the work."""
    taus: list[Temperature] = Field(default_factory=list, exclude_if=lambda taus: not taus)
    """Temperatures that replace tau in CMI. CMI is then its mean over them, each with centroids of its own, as in CMIM.
    []: tau.
    """
    ncmi_weight: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Weight of the loss of NCMI: CMI of a row divided by its separation from the other labels' centroids."""
    label_weight: NonNegative = Field(1.0, exclude_if=lambda weight: weight == 1)
    """Weight of the loss on labels. 0 leaves it out, and needs training.head_epochs or a teacher."""

    @field_validator("taus")
    @classmethod
    def _each_once(cls, taus: list[float]) -> list[float]:
        if len(set(taus)) < len(taus):
            raise ValueError("it should name each temperature once")
        return taus


class Objective(ObjectiveDefaults):
    """The loss of one run; docs/method.md gives it as a formula. alpha is 0 where there is no teacher."""

    alpha: AnyShare = 0.0
    """Weight of the teacher; 1 - alpha is that of the labels. 0 without a teacher."""
    temperature: Temperature = 1.0
    """Softens both models in distillation; with ttm and wttm the teacher alone. Up to 1e5."""
    kd_loss: KdLoss = "kl"
    """Distance between student and teacher: docs/distillation.md."""
    transfer: bool = False
    """true: learn from the task's unlabelled transfer rows too."""

    @model_validator(mode="after")
    def _smoothing_is_of_cross_entropy(self) -> "Objective":
        if self.label_loss == "mse" and self.label_smoothing:
            raise ValueError("label_smoothing belongs to label_loss ce")
        return self

    @property
    def learns_labels(self) -> bool:
        """Whether the loss tells the head which output is which label: by labels, or by a teacher."""
        return self.label_weight * (1 - self.contrastive_weight) > 0 or self.alpha > 0


class Training(Section):
    """The optimisation of one run. `warmup` is a share of the steps, `max_length` counts tokens.

    `train_share` is the share of the train rows that the run learns from.
    """

    epochs: Count
    """Epochs; keep_epoch says which one is kept."""
    batch_size: Count
    """Rows of a step, over all processes."""
    accumulate: Count = Field(1, exclude_if=lambda parts: parts == 1)  # runs of before the key keep their records
    """Parts that a batch is passed in, one after the other, for less memory: docs/method.md, A batch in parts."""
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
    """Epochs of plain fine-tuning first, with a schedule of their own; the arm's objective goes on from the one
    that keep_epoch names.
    """
    train_share: Annotated[Real, Field(gt=0, le=1)] = 1.0
    """Share of the train rows that are learnt from, drawn by seed, alike for all arms."""
    keep_epoch: KeptEpoch = Field("best", exclude_if=lambda name: name == "best")  # as `accumulate` above
    """Whose weights a run ends with. best: the epoch with the best score on selection. last: the last epoch, whatever
    its score; patience must be null then.
    """
    head_epochs: CountOrZero = Field(0, exclude_if=lambda epochs: epochs == 0)
    """More epochs at the end that train the head alone by cross-entropy, with a schedule of their own. The run keeps
    one of these epochs, by keep_epoch. The rest of the model is frozen, without dropout.
    """
    head_lr: Positive | None = Field(None, exclude_if=lambda rate: rate is None)
    """Highest learning rate of head_epochs; null: lr."""

    @model_validator(mode="after")
    def _patience_waits_for_a_better_epoch(self) -> "Training":
        if self.keep_epoch == "last" and self.patience is not None:
            raise ValueError("keep_epoch last needs patience null: patience ends a run some epochs after its best one")
        return self


def _may_be_left_out(section: type[Section]) -> Any:
    """A section with the same keys, each of which may be left out. No type checker can see which class comes of it."""
    fields: dict[str, Any] = {}
    for key, field in section.model_fields.items():
        kind: Any = Annotated[field.annotation, Field(), *field.metadata]  # ty: ignore[invalid-type-form]
        fields[key] = (kind | None, Field(None, description=field.description))
    return create_model(f"{section.__name__}Overrides", __base__=Section, **fields)


class TrainingOverrides(_may_be_left_out(Training)):
    """What an arm or a task sets differently from its section's `training`."""


class Arm(_may_be_left_out(ObjectiveDefaults)):
    """What one arm sets differently from `objective` and from its section's `training`."""

    training: TrainingOverrides = TrainingOverrides()
    """What differs from the section's training."""


class Teaching(Section):
    """What a recipe says of the teacher's part in the loss."""

    alpha: Annotated[Real, Field(gt=0, le=1)]
    """Weight of the teacher; 1 - alpha is that of the labels."""
    temperature: Temperature
    """Softens both models; with ttm and wttm the teacher alone. Up to 1e5."""
    kd_loss: KdLoss = "kl"
    """Distance between student and teacher: docs/distillation.md."""
    transfer: bool = False
    """true: learn from the task's unlabelled transfer rows too."""


class Recipe(Teaching, Arm):
    """A way to distil: an arm's settings for the student, and the teacher's part in the loss."""


class TeachingOverrides(_may_be_left_out(Teaching)):
    """What a task sets differently of the teacher's part."""


class RecipeOverrides(TeachingOverrides, Arm):
    """What a task sets differently from a recipe; every key may be left out."""


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
    """Controls: pairs such as {teacher: ce, like: cmi_max}. The first teacher also teaches at the temperature that
    gives it the second's CMI. The student by recipe kd is kd-ce_as_cmi_max.
    """
    calibrated: list[ArmName] = Field(default_factory=list, exclude_if=lambda arms: not arms)  # as `accumulate` above
    """Controls: teacher arms such as ce that also teach at the temperature with the least NLL on selection. The student
    by recipe kd is kd-ce_calibrated.
    """
    mapped: list[Mapped] = Field(default_factory=list, exclude_if=lambda maps: not maps)  # as `accumulate` above
    """Teacher arms that also teach through an affine map of their logits, such as {name: ce_up, teacher: ce,
    cmi_weight: -0.3}: docs/distillation.md, Teachers changed after training. The student by recipe kd is kd-ce_up.
    """

    def changed(self) -> list[Changed]:
        """The teachers that are changed after their training."""
        return [*self.matched, *(Calibrated(teacher=arm) for arm in self.calibrated), *self.mapped]


@dataclass(frozen=True)
class RunSettings:
    """All that params.yaml says of one training run."""

    model: ModelSource
    objective: Objective
    training: Training
    runtime: Runtime
    checkpoints: CheckpointSettings
