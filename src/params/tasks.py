"""The sections `splits`, `glue` and `task_settings` of params.yaml."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from src.params.runs import TaskArms, TaskTraining
from src.params.types import (
    ArmName,
    ClaimMetric,
    ColumnName,
    Commit,
    Count,
    CountOrZero,
    DroppedLabel,
    LabelName,
    Metric,
    Section,
    Seed,
    Share,
    SplitName,
)


class Splits(Section):
    """The seed and the shares of the cuts."""

    seed: Seed
    """Seed of the cuts, the same for every run."""
    selection: Share
    """Share of the labelled train rows kept for choosing epochs and settings."""
    test: Share
    """Share of all rows that becomes test, for data without a labelled test split."""
    folds: Count | None = Field(None, exclude_if=lambda folds: folds is None)  # so records without this key stay valid
    """Number of folds for cross-validation of data without a test split. Each fold is one seed, and the seeds must
    make whole rounds: docs/data.md. null or 1: one cut.
    """


class Glue(Section):
    """Where the glue-* tasks come from: a data set of the hub at a revision, or a local folder."""

    repository: str
    """Id of the data set on the hub."""
    revision: Commit
    """Full commit hash of the data set."""
    folder: str | None = None
    """A local folder with a folder for each part (docs/data.md), used instead of the hub. A relative path starts at the
    repository root.
    """


class MaxRows(Section):
    """The number of rows of each split; null means all rows.

    Labels keep their shares, and each share is rounded. So a split may have a row more or less for every two labels.
    """

    train: Count | None = None
    """Most train rows; null: all."""
    selection: Count | None = None
    """Most selection rows; null: all."""
    test: Count | None = None
    """Most test rows; null: all."""
    transfer: CountOrZero = 0
    """Number of transfer rows, taken without labels from the rows that train leaves."""


OWN_SPLITS = ("train", "selection", "test", "transfer")


class AlsoTest(Section):
    """A second labelled test set of a task, which its runs predict too. Git keeps only its measures.

    The other keys mean the same as in `TaskSettings`.
    """

    name: ArmName
    """Prefix of its metrics, as in chaosnli_accuracy."""
    source: Literal["folder", "hub"]
    """As for a task."""
    path: str
    """As for a task."""
    split: SplitName
    """The split to read."""
    part: str | None = None
    """As for a task."""
    revision: Commit | None = None
    """As for a task."""
    text: Annotated[list[ColumnName], Field(min_length=1, max_length=2)] | None = None
    """null: the task's own columns."""
    label: ColumnName = "label"
    """As for a task."""
    human: list[ColumnName] | None = None
    """As for a task."""
    drop_labels: list[DroppedLabel] = Field(default_factory=list)
    """As for a task."""
    quoting: Annotated[bool, Field(strict=True)] | None = None
    """As for a task."""

    @field_validator("name")
    @classmethod
    def _makes_no_metric_of_the_task(cls, name: str) -> str:
        metrics = get_args(ClaimMetric)
        if taken := [metric for metric in metrics if f"{name}_{metric}" in metrics]:
            raise ValueError(f"{name}_{taken[0]} is a metric of the task's own test set: use another name")
        if name in OWN_SPLITS:
            raise ValueError(f"{name} is a split of the task itself: use another name")
        return name

    @model_validator(mode="after")
    def _revision_belongs_to_the_hub(self) -> "AlsoTest":
        if (self.source == "hub") != (self.revision is not None):
            raise ValueError("source hub needs a revision; set revision to null for source folder")
        return self


class TaskSettings(Section):
    """One classification task."""

    source: Literal["vader", "glue", "hub", "folder"]
    """vader, glue: a data set that this project knows. hub, folder: any data with one or two columns of text."""
    metrics: Annotated[list[Metric], Field(min_length=1)]
    """Metrics of the task. The first one chooses the epoch."""
    max_rows: MaxRows = MaxRows()
    """The largest number of rows of each split."""
    part: str | None = None
    """vader: movie, tweets, nyt or amazon; glue: the hub's name of the task, or a folder in glue.folder; hub: the
    configuration.
    """
    path: str | None = None
    """hub: the id. folder: the path of the files. A relative path starts at the repository root; ~ is your home."""
    revision: Commit | None = None
    """hub: the full commit hash."""
    text: Annotated[list[ColumnName], Field(min_length=1, max_length=2)] | None = None
    """Columns of the one or two texts."""
    label: ColumnName = "label"
    """Column of the label."""
    human: list[ColumnName] | None = None
    """Columns of the raters' votes or shares, one per learnt label, in the order of the labels. Test must have them;
    train may lack them.
    """
    labels: Annotated[list[LabelName], Field(min_length=2)] | None = None
    """Names of the labels in order. A number in the data is a label's position in this list, from 0."""
    train_split: SplitName = "train"
    """Split that train and selection are cut from."""
    test_split: SplitName | None = "validation"
    """Labelled split that serves as test; null: test is cut from train."""
    transfer_file: str | None = None
    """A local file of more texts without labels, in the columns of text (vader: in a column text)."""
    drop_labels: list[DroppedLabel] = Field(default_factory=list)
    """Rows with these labels are left out; null stands for rows without a label. A name that is also in labels is not
    learnt.
    """
    quoting: Annotated[bool, Field(strict=True)] | None = None
    """Whether quotes enclose fields in a .tsv or .csv file. null: always in .csv; in .tsv only if nothing else is
    possible. An ambiguous .tsv file is refused.
    """
    test_overlap: Literal["keep", "drop"] = "keep"
    """Whether train rows whose text is also in test are kept or dropped."""
    folds: Count | None = Field(None, exclude_if=lambda folds: folds is None)
    """Number of folds of this task; null: splits.folds. 1: one cut."""
    also_test: AlsoTest | None = None
    """A second labelled test set, which the runs predict too."""
    training: TaskTraining = TaskTraining()
    """Changes for this task to the training of finetune and student."""
    arms: TaskArms = TaskArms()
    """Changes for this task to the arms of finetune and student and to the recipes."""

    @property
    def learnt_labels(self) -> list[str]:
        """The names of `labels` that `drop_labels` does not hold, in order."""
        dropped = {str(label) for label in self.drop_labels if label is not None}
        return [name for name in self.labels or [] if name not in dropped]

    @field_validator("metrics", "text")
    @classmethod
    def _named_once(cls, names: list[str] | None) -> list[str] | None:
        if names is not None and len(set(names)) < len(names):
            raise ValueError("name each one once")
        return names

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: list[str] | None) -> list[str] | None:
        if labels is not None and len({name.casefold() for name in labels}) < len(labels):
            raise ValueError("label names must differ by more than case")
        return labels

    @model_validator(mode="after")
    def _no_answer_is_shown(self) -> "TaskSettings":
        if self.text is not None and self.label in self.text:
            raise ValueError(f"column '{self.label}' cannot be both text and label")
        if self.test_split == self.train_split:
            raise ValueError(f"test_split and train_split are both '{self.train_split}': name two splits")
        if self.labels is not None:
            check_metrics(self.metrics, self.learnt_labels)
        return self

    @model_validator(mode="after")
    def _second_test_is_like_the_first(self) -> "TaskSettings":
        also = self.also_test
        if also is None:
            return self
        columns = also.text or self.text or []
        if len(columns) != len(self.text or columns) or len({*columns}) < len(columns):
            raise ValueError("also_test.text needs as many columns as text, and none twice")
        if also.label in columns:
            raise ValueError(f"column '{also.label}' of also_test cannot be both text and label")
        if (also.source, also.path, also.part, also.split) == (self.source, self.path, self.part, self.train_split):
            raise ValueError(f"also_test is the train split '{also.split}': name rows that no run learns")
        return self

    @model_validator(mode="after")
    def _every_label_has_its_votes(self) -> "TaskSettings":
        second = self.also_test.human if self.also_test else None
        for key, columns in (("human", self.human), ("also_test.human", second)):
            if columns is not None and (len(columns) != len(self.learnt_labels) or len({*columns}) < len(columns)):
                raise ValueError(f"{key} needs one column for each label that is learnt, and no column twice")
        return self

    @model_validator(mode="after")
    def _labels_are_left(self) -> "TaskSettings":
        if self.labels is not None and len(self.learnt_labels) < 2:
            raise ValueError(f"drop_labels leaves {len(self.learnt_labels)} of labels to learn: leave at least two")
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
        if self.source == "vader" and (self.human or self.also_test):
            raise ValueError("source vader takes no human and no also_test: it has its own ratings")
        if self.source == "vader" and self.drop_labels:
            raise ValueError("source vader takes no drop_labels: every row has a label from its ratings")
        missing = [key for key in needed if getattr(self, key) is None]
        if missing:
            raise ValueError(f"source {self.source} needs {', '.join(missing)}")
        return self


def check_metrics(metrics: list[Metric], label_names: list[str]) -> None:
    """Raise a `ValueError` if a metric is not defined for this number of labels."""
    if "f1" in metrics and len(label_names) > 2:
        raise ValueError(f"f1 is defined for two labels, not for {len(label_names)}: use macro_f1")
