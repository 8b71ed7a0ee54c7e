"""The published data set of a task: its location, and the meaning of its columns."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from src.params import AlsoTest, Glue, TaskSettings
from src.system.errors import UserError
from src.system.files import user_path
from src.system.unicode import canonical

if TYPE_CHECKING:  # `src.system.files` gives the reason
    import pandas as pd

Label = str | int | None


@dataclass(frozen=True)
class Location:
    """The location of a data set. `name` is a local folder, or an id on the hub with `part` as its configuration.

    `local_copy` tells the user how to read a local copy of a data set on the hub, and `without_split` how to do without
    a split that a folder lacks; it is empty if the task needs the split.
    """

    kind: Literal["folder", "hub"]
    name: str
    part: str | None = None
    revision: str | None = None
    local_copy: str = "use source: folder"
    without_split: str = ""


@dataclass(frozen=True)
class Columns:
    """The columns of texts, label and raters' votes (`human`, which may be empty), and how to read labels.

    `labels` names the data's labels in order. `learnt_labels` has the labels of the task. `drop_labels` and `quoting`
    mean the same as in params.yaml.
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

    Errors use `where`, the source, and the index of `table`, the place of each row ("line 6", or "row 5" from 0).
    `label_names` are the names that the source gives to the numbers of its labels, in order.
    """

    where: str
    table: "pd.DataFrame"
    label_names: list[str] = field(default_factory=list)


def with_canonical_columns(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with its column names in one Unicode form; a `ValueError` if two names become equal."""
    table = table.set_axis([canonical(str(name)) for name in table], axis="columns")
    if not table.columns.is_unique:
        raise ValueError(f"it names a column twice: {', '.join(table):.100}")
    return table


def check_columns(where: str, table: "pd.DataFrame", needed: list[str]) -> None:
    """Check that a table has the needed columns.

    Raises:
        UserError: it does not; the message starts with `where`.
    """
    for column in needed:
        if column not in table.columns:
            raise UserError(where, f"no column '{column}'", f"allowed: {', '.join(map(repr, table.columns))}")


def location_of_task(settings: TaskSettings, glue: Glue) -> Location:
    """The location of a task's data. Its source is glue, hub or folder."""
    if settings.source != "glue":
        return location_of(settings)
    assert settings.part is not None  # as TaskSettings checks
    if glue.folder:
        return Location("folder", str(user_path(glue.folder) / settings.part))
    return Location("hub", glue.repository, settings.part, glue.revision, "set glue.folder")


def columns_of_task(settings: TaskSettings) -> Columns:
    """The columns of a task. Its source is glue, hub or folder."""
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
    """The columns of a task's second test set, which has the task's labels."""
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
    """The location of data. Their source is hub or folder."""
    assert settings.path is not None  # as TaskSettings checks; AlsoTest always has one
    if settings.source == "hub":
        return Location("hub", settings.path, settings.part, settings.revision)
    return Location("folder", str(user_path(settings.path)))
