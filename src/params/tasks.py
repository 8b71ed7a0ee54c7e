"""What params.yaml says of the data: tasks, their sources, and how rows are split."""

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
    """Of the cuts, the same for every run."""
    selection: Share
    """Share of the labelled train rows kept for choosing epochs and settings."""
    test: Share
    """Share of all rows, for data without a labelled test split of its own."""
    folds: Count | None = Field(None, exclude_if=lambda folds: folds is None)  # as it was before the key
    """Cross-validation of data without a test split, in so many folds, by whole rounds of seeds: docs/data.md. Null, or
    1: one cut.
    """


class Glue(Section):
    """Where the glue-* tasks come from: a hub data set at a revision, or a local folder."""

    repository: str
    """Id of the data set on the hub."""
    revision: Commit
    """Its full commit hash."""
    folder: str | None = None
    """A local folder with a folder for each part (docs/data.md) instead of the hub; a relative path begins at the
    repository.
    """


class MaxRows(Section):
    """The most rows that each split may have; None is all of them.

    `transfer` rows are taken from those that `train` leaves; their labels are thrown away.
    """

    train: Count | None = None
    """Null: all rows."""
    selection: Count | None = None
    """Null: all rows."""
    test: Count | None = None
    """Null: all rows."""
    transfer: CountOrZero = 0
    """Of the rows that train leaves, without their labels."""


class AlsoTest(Section):
    """A second labelled test set of a task, which its runs predict too. Only measures of it are kept in git.

    `name` goes before its metrics. Other keys are as in `TaskSettings`; `text` None is the task's own.
    """

    name: ArmName
    """Goes before its metrics, as in chaosnli_accuracy."""
    source: Literal["folder", "hub"]
    """As of a task."""
    path: str
    """As of a task."""
    split: SplitName
    """The split to read."""
    part: str | None = None
    """As of a task."""
    revision: Commit | None = None
    """As of a task."""
    text: Annotated[list[ColumnName], Field(min_length=1, max_length=2)] | None = None
    """Null: the task's own."""
    label: ColumnName = "label"
    """As of a task."""
    human: list[ColumnName] | None = None
    """As of a task."""
    drop_labels: list[DroppedLabel] = Field(default_factory=list)
    """As of a task."""
    quoting: Annotated[bool, Field(strict=True)] | None = None
    """As of a task."""

    @field_validator("name")
    @classmethod
    def _makes_no_metric_of_the_task(cls, name: str) -> str:
        metrics = get_args(ClaimMetric)
        if taken := [metric for metric in metrics if f"{name}_{metric}" in metrics]:
            raise ValueError(f"{name}_{taken[0]} is a metric of the task's own test set; use another name")
        return name

    @model_validator(mode="after")
    def _revision_belongs_to_the_hub(self) -> "AlsoTest":
        if (self.source == "hub") != (self.revision is not None):
            raise ValueError("source hub needs a revision, source folder takes none (null)")
        return self


class TaskSettings(Section):
    """One classification task.

    `source` says who reads it: `vader` and `glue` know their data sets, `hub` and `folder` take any with one
    or two text columns: `path` is then the hub id (with `revision`) or the folder. `test_split` names the
    labelled split that serves as test; without one (null) the test rows are cut from train. `transfer_file` is
    a local file of more texts without labels, in the columns of `text` (vader: a column text).

    `human` names columns of votes or shares, one per learnt label in their order; train may lack them, test may not.

    Rows whose label is in `drop_labels` are left out (None: rows without a label); names of `labels` among them are not
    learnt. `quoting` says whether quotes of
    a .tsv or .csv file enclose fields (None: always in .csv, and where nothing else is possible in .tsv).
    `test_overlap` says what becomes of train rows with a text of `test_split`. `training` and `arms` override, for this
    task, what runs are made with.
    """

    source: Literal["vader", "glue", "hub", "folder"]
    """vader and glue know their data sets; hub and folder take any data with one or two columns of text."""
    metrics: Annotated[list[Metric], Field(min_length=1)]
    """The first one chooses the epoch."""
    max_rows: MaxRows = MaxRows()
    """The most rows of each split."""
    part: str | None = None
    """vader: movie, tweets, nyt or amazon; glue: the hub's name of the task, or a folder in glue.folder; hub: the
    configuration.
    """
    path: str | None = None
    """hub: its id; folder: where its files lie, from the repository. ~ is your home folder."""
    revision: Commit | None = None
    """Of the hub: the full commit hash."""
    text: Annotated[list[ColumnName], Field(min_length=1, max_length=2)] | None = None
    """Columns of the one or two texts."""
    label: ColumnName = "label"
    """Column of the label."""
    human: list[ColumnName] | None = None
    """Columns of votes or shares, one per learnt label in their order; train may lack them, test may not."""
    labels: Annotated[list[LabelName], Field(min_length=2)] | None = None
    """Names of the labels in order; numbers in the data are their places, from 0."""
    train_split: SplitName = "train"
    """Split that train and selection are cut from."""
    test_split: SplitName | None = "validation"
    """Labelled split that serves as test; null: test is cut from train."""
    transfer_file: str | None = None
    """A local file of more texts without labels, in the columns of text."""
    drop_labels: list[DroppedLabel] = Field(default_factory=list)
    """Rows of these labels are left out; null: rows without a label. A name of labels among them is not learnt."""
    quoting: Annotated[bool, Field(strict=True)] | None = None
    """Whether quotes of a .tsv or .csv file enclose fields; null: found out, or refused."""
    test_overlap: Literal["keep", "drop"] = "keep"
    """What becomes of train rows with a text of test."""
    folds: Count | None = Field(None, exclude_if=lambda folds: folds is None)
    """Null: splits.folds. 1: one cut."""
    also_test: AlsoTest | None = None
    """A second labelled test set, which the runs predict too."""
    training: TaskTraining = TaskTraining()
    """What differs from the training of finetune and student."""
    arms: TaskArms = TaskArms()
    """What differs from their arms and from the recipes."""

    @property
    def learnt_labels(self) -> list[str]:
        """The names of `labels` that `drop_labels` does not hold, in order."""
        dropped = {str(label) for label in self.drop_labels if label is not None}
        return [name for name in self.labels or [] if name not in dropped]

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
            check_metrics(self.metrics, self.learnt_labels)
        return self

    @model_validator(mode="after")
    def _every_label_has_its_votes(self) -> "TaskSettings":
        second = self.also_test.human if self.also_test else None
        for key, columns in (("human", self.human), ("also_test.human", second)):
            if columns is not None and (len(columns) != len(self.learnt_labels) or len({*columns}) < len(columns)):
                raise ValueError(f"{key} needs a column for each label that is learnt, and each once")
        return self

    @model_validator(mode="after")
    def _labels_are_left(self) -> "TaskSettings":
        if self.labels is not None and len(self.learnt_labels) < 2:
            raise ValueError(
                f"drop_labels leaves {len(self.learnt_labels)} of labels to learn: at least two are needed"
            )
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
            raise ValueError("human and also_test are of the other sources: vader has ratings of its own")
        if self.source == "vader" and self.drop_labels:
            raise ValueError("drop_labels is of the other sources: every row of vader has its label from its ratings")
        missing = [key for key in needed if getattr(self, key) is None]
        if missing:
            raise ValueError(f"source {self.source} needs {', '.join(missing)}")
        return self


def check_metrics(metrics: list[Metric], label_names: list[str]) -> None:
    """Raise a `ValueError` where a metric is not defined for so many labels."""
    if "f1" in metrics and len(label_names) > 2:
        raise ValueError(f"f1 is of two labels, not of {len(label_names)}: use macro_f1")
