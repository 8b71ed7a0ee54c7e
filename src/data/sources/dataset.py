"""Which published data set a task is made of: where it lies, and which of its columns hold what."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from src.params import AlsoTest, Glue, TaskSettings
from src.system.files import user_path
from src.system.unicode import canonical

if TYPE_CHECKING:
    import pandas as pd  # `settings`, which runs at every `dvc repro`, would start in twice the time

Label = str | int | None


@dataclass(frozen=True)
class Location:
    """Where a data set lies: `name` is a local folder or an id on the hub, where `part` is its configuration.

    `local_copy` says what to set in params.yaml to read a local copy of a data set on the hub.
    """

    kind: Literal["folder", "hub"]
    name: str
    part: str | None = None
    revision: str | None = None
    local_copy: str = "use source: folder"


@dataclass(frozen=True)
class Columns:
    """Which columns hold texts, label and raters' votes (`human`; empty without), and how labels are read.

    `labels` are the names of the data's labels in order, `learnt_labels` those of the task among them. `drop_labels`
    and `quoting` are as in params.yaml.
    """

    text: list[str]
    label: str
    human: list[str]
    labels: list[str]
    learnt_labels: list[str]
    drop_labels: list[Label]
    quoting: bool | None


@dataclass(frozen=True)
class RawSplit:
    """A split as its source has it.

    `where` it is from and the index of `table`, which says where each row stands in it ("line 6", or "row 5" from 0),
    are for errors. `label_names` are those that the source itself gives the numbers of its labels, in order.
    """

    where: str
    table: "pd.DataFrame"
    label_names: list[str] = field(default_factory=list)


def with_canonical_columns(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with the names of its columns in one Unicode form; a `ValueError` where two are one."""
    table = table.set_axis([canonical(str(name)) for name in table], axis="columns")
    if not table.columns.is_unique:
        raise ValueError(f"it names a column twice: {', '.join(table):.100}")
    return table


def location_of_task(settings: TaskSettings, glue: Glue) -> Location:
    """Where the data of a task lies whose source is glue, hub or folder."""
    if settings.source != "glue":
        return location_of(settings)
    assert settings.part is not None  # as TaskSettings checks
    if glue.folder:
        return Location("folder", str(user_path(glue.folder) / settings.part))
    return Location("hub", glue.repository, settings.part, glue.revision, "set glue.folder")


def columns_of_task(settings: TaskSettings) -> Columns:
    """The columns of a task whose source is glue, hub or folder."""
    assert settings.text is not None  # as TaskSettings checks
    assert settings.labels is not None
    return Columns(
        settings.text,
        settings.label,
        settings.human or [],
        settings.labels,
        settings.learnt_labels,
        settings.drop_labels,
        settings.quoting,
    )


def columns_of_also_test(also: AlsoTest, settings: TaskSettings) -> Columns:
    """The columns of a task's second test set, whose labels are those of the task."""
    own = columns_of_task(settings)
    return replace(
        own,
        text=also.text or own.text,
        label=also.label,
        human=also.human or [],
        drop_labels=also.drop_labels,
        quoting=also.quoting,
    )


def location_of(settings: TaskSettings | AlsoTest) -> Location:
    """Where data lie whose source is hub or folder."""
    assert settings.path is not None  # as TaskSettings checks; AlsoTest always has one
    if settings.source == "hub":
        return Location("hub", settings.path, settings.part, settings.revision)
    return Location("folder", str(user_path(settings.path)))
