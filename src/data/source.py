"""The rows of a task as its source has them, less those that params.yaml leaves out: what splits are cut from."""

from dataclasses import dataclass, replace

from src.data.published import read_split
from src.data.splits import share_texts
from src.data.table import LabelledText
from src.data.vader import read_vader
from src.errors import UserError
from src.params import Params, check_metrics


@dataclass(frozen=True)
class Source:
    """The labelled rows to cut splits from, and the data set's own test split where it has one.

    `overlap_left_out` counts the rows that test_overlap left out, because test has their text.
    """

    rows: LabelledText
    test: LabelledText | None = None
    overlap_left_out: int = 0

    @property
    def dropped(self) -> dict[str, int]:
        """How many rows of the source's splits drop_labels left out."""
        return {"train": self.rows.dropped} | ({"test": self.test.dropped} if self.test else {})


def read_source(name: str, params: Params) -> Source:
    """Read the splits of a task.

    Raises:
        UserError: they cannot be read (see `src.data.published`, `src.data.vader`), or one has no row of some label.
    """
    settings = params.task(name)
    if settings.source == "vader":
        rows = read_vader(settings.part)
        _check_metrics(name, settings.metrics, rows.label_names)
        return Source(rows)
    rows = _read_whole(name, params, "train_split", "")
    if settings.test_split is None:
        return Source(rows)
    test = _read_whole(name, params, "test_split", ", or null, which cuts test from train")
    if settings.test_overlap == "keep":
        return Source(rows, test)
    return _without_overlap(name, rows, test)


def _read_whole(name: str, params: Params, key: str, other_way: str) -> LabelledText:
    split = getattr(params.task(name), key)
    data = read_split(name, params.task(name), params.glue, split)
    where = f"params.yaml: task_settings.{name}.{key}"
    _check_labels(where, f"split '{split}'", data, f"a split with rows of every label{other_way}")
    return data


def _without_overlap(name: str, rows: LabelledText, test: LabelledText) -> Source:
    shared = share_texts(rows.rows, test.rows)
    rest = replace(rows, rows=rows.rows[~shared].reset_index(drop=True))
    where = f"params.yaml: task_settings.{name}.test_overlap"
    _check_labels(where, f"train, less the {shared.sum()} rows with a text of test,", rest, "keep them: keep")
    return Source(rest, test, int(shared.sum()))


def _check_labels(where: str, what: str, data: LabelledText, allowed: str) -> None:
    """All that is learnt and measured is defined over all labels."""
    present = set(data.rows["label"])
    absent = [label for number, label in enumerate(data.label_names) if number not in present]
    if absent:
        raise UserError(where, f"{what} has no row of label '{absent[0]}'", allowed)


def _check_metrics(name: str, metrics: list[str], label_names: list[str]) -> None:
    """For label names that only the source knows; those in params.yaml were checked with it."""
    try:
        check_metrics(metrics, label_names)
    except ValueError as error:
        where = f"params.yaml: task_settings.{name}.metrics"
        raise UserError(where, f"does not fit {', '.join(label_names)}", str(error)) from None
