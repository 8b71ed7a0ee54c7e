"""Training runs in params.yaml: objectives, optimisation, and the arms that override them."""

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
    """The default objective of every arm; docs/method.md gives it as a formula.

    A key that came after the first records is left out of records while it has its default, so these stay valid.
    """

    space: Space
    """Distribution whose CMI is taken. feature: softmax(h / tau), with h the vector that enters the head; this is our
    reading of the paper. class: softmax(logits / tau), as in CMIC-DL and MCMI.
    """
    feature_map: FeatureMap = Field("softmax", exclude_if=lambda name: name == "softmax")
    """How space feature makes a distribution from h. softmax: uses h directly; shrinking h lowers CMI. unit_softmax,
    unit_sigmoid: subtract the mean of h and scale to length 1 first: docs/method.md, CMI without the length.
    """
    tau: Temperature
    """Temperature of that softmax, up to 1e5."""
    centroid: Centroid
    """How class centroids are estimated: docs/method.md, Centroids."""
    momentum: ShareOrZero
    """Momentum of the ema centroids."""
    clusters: Clusters = Field("class", exclude_if=lambda name: name == "class")
    """Rows that share a centroid. class: the rows of one label. all: all rows, so the term is I(X; Z) without the
    label, a control.
    """
    cmi_weight: Finite
    """> 0 minimises CMI, < 0 maximises it."""
    cmi_unit: Positive
    """Unit of CMI in the loss, in nats: the loss holds cmi_weight * CMI / cmi_unit. If the unit is the CMI of plain
    fine-tuning, a weight means the same for every model and space.
    """
    cmi_warmup: ShareOrZero
    """Share of the steps over which cmi_weight rises from 0."""
    separation_weight: Finite
    """Weight of Gamma; > 0 pushes the classes apart."""
    centre_weight: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Weight of centre loss: half the squared distance of h to the mean h of its label."""
    centre_map: CentreMap = Field("none", exclude_if=lambda name: name == "none")
    """Vector in centre loss. none: h. unit: h / |h|, and the centres are means of h / |h|."""
    norm_penalty: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Weight of the squared length of h."""
    contrastive_weight: AnyShare = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Share of supervised contrastive loss in the loss on labels: docs/controls.md, Rivals of CMI. A share above 0
    needs one process and accumulate 1. A share of 1 needs training.head_epochs or a teacher.
    """
    contrastive_tau: Temperature = Field(0.3, exclude_if=lambda tau: tau == 0.3)
    """Temperature of the similarities in supervised contrastive loss, up to 1e5."""
    label_loss: LabelLoss
    """ce: cross-entropy; mse: squared distance of the probabilities to the label."""
    label_smoothing: ShareOrZero
    """Share of the label that is spread over all classes. Needs label_loss ce."""
    confidence_penalty: NonNegative
    """Weight of the reward for entropy of the predictions."""
    r_drop_weight: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Weight of R-Drop: the KL between two passes of a row under dropout. Above 0, a step takes twice the work."""
    taus: list[Temperature] = Field(default_factory=list, exclude_if=lambda taus: not taus)
    """Temperatures that replace tau in CMI. CMI is then its mean over them, each with its own centroids, as in CMIM.
    []: use tau.
    """
    ncmi_weight: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Weight of the NCMI loss: a row's CMI divided by its separation from the other labels' centroids."""
    label_weight: NonNegative = Field(1.0, exclude_if=lambda weight: weight == 1)
    """Weight of the loss on labels. 0 leaves it out and needs training.head_epochs or a teacher."""

    @field_validator("taus")
    @classmethod
    def _each_once(cls, taus: list[float]) -> list[float]:
        if len(set(taus)) < len(taus):
            raise ValueError("name each temperature once")
        return taus


class Objective(ObjectiveDefaults):
    """The objective of one run. Its last five keys are described in `Teaching`; alpha is 0 without a teacher."""

    alpha: AnyShare = 0.0
    temperature: Temperature = 1.0
    kd_loss: KdLoss = "kl"
    transfer: bool = False
    relation_weight: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)

    @model_validator(mode="after")
    def _smoothing_is_of_cross_entropy(self) -> "Objective":
        if self.label_loss == "mse" and self.label_smoothing:
            raise ValueError("label_smoothing needs label_loss ce")
        return self

    @property
    def learns_labels(self) -> bool:
        """Whether the loss teaches the head which output is which label, by labels or by a teacher."""
        return self.label_weight * (1 - self.contrastive_weight) > 0 or self.alpha > 0


class Training(Section):
    """The optimisation of one run."""

    epochs: Count
    """Number of epochs. keep_epoch says which one is kept."""
    batch_size: Count
    """Rows of a step, over all processes."""
    accumulate: Count = Field(1, exclude_if=lambda parts: parts == 1)
    """Parts of a batch, passed one after the other to save memory: docs/method.md, A batch in parts."""
    lr: Positive
    """Highest learning rate of AdamW. The rate falls to 0 linearly."""
    weight_decay: NonNegative
    """Weight decay of AdamW."""
    warmup: ShareOrZero
    """Share of the steps over which the learning rate rises."""
    max_grad_norm: Positive
    """Largest norm of the gradient. A larger gradient is scaled down to it."""
    max_length: Tokens
    """Most tokens of a row. The longer text of a pair is cut first."""
    patience: Count | None = None
    """Training stops after this many epochs without a better selection score; null: never."""
    plain_epochs: CountOrZero = 0
    """Epochs of plain fine-tuning first, with their own schedule. The arm's objective continues from the epoch that
    keep_epoch names.
    """
    train_share: Annotated[Real, Field(gt=0, le=1)] = 1.0
    """Share of the train rows to learn from. The rows are drawn by seed, the same for all arms."""
    keep_epoch: KeptEpoch = Field("best", exclude_if=lambda name: name == "best")
    """Epoch whose weights a run keeps. best: the epoch with the best score on selection. last: the last epoch; patience
    must then be null.
    """
    head_epochs: CountOrZero = Field(0, exclude_if=lambda epochs: epochs == 0)
    """Extra epochs at the end that train only the head, by cross-entropy, with their own schedule. The rest of the
    model is frozen and has no dropout. keep_epoch chooses among these epochs.
    """
    head_lr: Positive | None = Field(None, exclude_if=lambda rate: rate is None)
    """Highest learning rate of head_epochs; null: lr."""

    @property
    def all_epochs(self) -> int:
        """The most epochs of a run, with plain ones and those of the head."""
        return self.plain_epochs + self.epochs + self.head_epochs

    def learnt_of(self, rows: int) -> int:
        """The number of rows that a run learns from, of so many train rows."""
        return round(self.train_share * rows)

    @classmethod
    def may_be_null(cls, key: str) -> bool:
        """Whether null is a value of a key, such as no patience."""
        return cls.model_fields[key].default is None

    @model_validator(mode="after")
    def _patience_waits_for_a_better_epoch(self) -> "Training":
        if self.keep_epoch == "last" and self.patience is not None:
            raise ValueError("keep_epoch last needs patience null, because patience stops a run after its best epoch")
        return self


def _may_be_left_out(section: type[Section]) -> Any:
    """A section with the same keys, all optional, so that their ranges and descriptions stand once.

    The class is made while the module is imported, so type checkers cannot follow it.
    """
    fields: dict[str, Any] = {}
    for key, field in section.model_fields.items():
        kind: Any = Annotated[field.annotation, Field(), *field.metadata]  # ty: ignore[invalid-type-form]
        fields[key] = (kind | None, Field(None, description=field.description))
    return create_model(f"{section.__name__}Overrides", __base__=Section, **fields)


class TrainingOverrides(_may_be_left_out(Training)):
    """Changes of an arm or a task to its section's `training`."""


class Arm(_may_be_left_out(ObjectiveDefaults)):
    """Changes of one arm to `objective` and to its section's `training`."""

    training: TrainingOverrides = TrainingOverrides()
    """Changes to the section's training."""


class Teaching(Section):
    """The teacher's part in the loss of a recipe."""

    alpha: Annotated[Real, Field(gt=0, le=1)]
    """Weight of the teacher. The labels have weight 1 - alpha."""
    temperature: Temperature
    """Softens both models; with ttm and wttm only the teacher. Up to 1e5."""
    kd_loss: KdLoss = "kl"
    """Distance between student and teacher: docs/distillation.md."""
    transfer: bool = False
    """true: also learn from the task's unlabelled transfer rows."""
    relation_weight: NonNegative = Field(0.0, exclude_if=lambda weight: weight == 0)
    """Weight of the relation loss, which compares how the last layers of student and teacher relate tokens:
    docs/distillation.md, Relations between tokens. Above 0, it needs runtime.keep_weights, and a step also takes the
    teacher's pass.
    """


class Recipe(Teaching, Arm):
    """A way to distil: an arm's settings for the student, and the teacher's part in the loss."""


class TeachingOverrides(_may_be_left_out(Teaching)):
    """Changes of a task to the teacher's part."""


class RecipeOverrides(TeachingOverrides, Arm):
    """Changes of a task to a recipe; every key is optional."""


class TaskTraining(Section):
    """Changes of a task to the `training` of `finetune` and of `student`."""

    teacher: TrainingOverrides = TrainingOverrides()
    """Changes to finetune.training."""
    student: TrainingOverrides = TrainingOverrides()
    """Changes to student.training."""


class TaskArms(Section):
    """Changes of a task to `finetune.arms`, `student.arms` and `distill.recipes`."""

    teacher: dict[ArmName, Arm] = Field(default_factory=dict)
    """Changes to finetune.arms, by arm."""
    student: dict[ArmName, Arm] = Field(default_factory=dict)
    """Changes to student.arms, by arm."""
    recipe: dict[ArmName, RecipeOverrides] = Field(default_factory=dict)
    """Changes to distill.recipes, by recipe."""


class ArmsSection(Section):
    """The optimisation of a group of runs, and its arms."""

    training: Training
    """Optimisation of all these runs."""
    arms: Annotated[dict[ArmName, Arm], Field(min_length=1)]
    """Changes of each arm, by the arm's name. Put a name that YAML reads as a value (null, 007, 1e5) in quotes."""


class DistillSection(Section):
    """The recipes. Each one distils a student from every teacher arm."""

    recipes: dict[ArmName, Recipe]
    """Ways to distil, by name. Each is applied to every teacher arm."""
    matched: list[Matched] = Field(default_factory=list)
    """Controls: pairs such as {teacher: ce, like: cmi_max}. The first teacher also teaches at the temperature that
    gives it the second's CMI. The student by recipe kd is kd-ce_as_cmi_max.
    """
    calibrated: list[ArmName] = Field(default_factory=list, exclude_if=lambda arms: not arms)
    """Controls: teacher arms such as ce that also teach at the temperature with the least NLL on selection. The student
    by recipe kd is kd-ce_calibrated.
    """
    mapped: list[Mapped] = Field(default_factory=list, exclude_if=lambda maps: not maps)
    """Teacher arms that also teach through an affine map of their logits, such as {name: ce_up, teacher: ce,
    cmi_weight: -0.3}: docs/distillation.md, Teachers changed after training. The student by recipe kd is kd-ce_up.
    """

    def changed(self) -> list[Changed]:
        """The teachers that are changed after their training."""
        return [*self.matched, *(Calibrated(teacher=arm) for arm in self.calibrated), *self.mapped]


@dataclass(frozen=True)
class RunSettings:
    """All settings of one training run."""

    model: ModelSource
    objective: Objective
    training: Training
    runtime: Runtime
    checkpoints: CheckpointSettings

    def recorded(self) -> dict[str, Any]:
        """The sections that a run's record has, as plain values."""
        return {name: getattr(self, name).model_dump() for name in ("model", "objective", "training")}
