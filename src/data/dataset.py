"""Which published data set a task is made of: where it lies, and which of its columns hold what."""

from dataclasses import dataclass
from typing import Literal

from src.files import user_path
from src.params import AlsoTest, Glue, TaskSettings

Label = str | int | None


@dataclass(frozen=True)
class Place:
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

    `labels` are their names in order. `drop_labels` and `quoting` are as in params.yaml.
    """

    text: list[str]
    label: str
    human: list[str]
    labels: list[str]
    drop_labels: list[Label]
    quoting: bool | None


def place_of_task(settings: TaskSettings, glue: Glue) -> Place:
    """Where the data of a task lies whose source is glue, hub or folder."""
    if settings.source != "glue":
        return place_of(settings)
    assert settings.part is not None  # as TaskSettings checks
    if glue.folder:
        return Place("folder", str(user_path(glue.folder) / settings.part))
    return Place("hub", glue.repository, settings.part, glue.revision, "set glue.folder")


def columns_of_task(settings: TaskSettings) -> Columns:
    """The columns of a task whose source is glue, hub or folder."""
    assert settings.text is not None  # as TaskSettings checks
    assert settings.labels is not None
    human = settings.human or []
    return Columns(settings.text, settings.label, human, settings.labels, settings.drop_labels, settings.quoting)


def columns_of_also_test(also: AlsoTest, settings: TaskSettings) -> Columns:
    """The columns of a task's second test set, whose labels are those of the task."""
    own = columns_of_task(settings)
    return Columns(also.text or own.text, also.label, also.human or [], own.labels, also.drop_labels, also.quoting)


def place_of(settings: TaskSettings | AlsoTest) -> Place:
    """Where data lie whose source is hub or folder."""
    assert settings.path is not None  # as TaskSettings checks; AlsoTest always has one
    if settings.source == "hub":
        return Place("hub", settings.path, settings.part, settings.revision)
    return Place("folder", str(user_path(settings.path)))
