"""The rows of a task as its source has them, less those that params.yaml leaves out: what splits are cut from."""

from dataclasses import dataclass, replace

import numpy as np

from src.data.sources.dataset import columns_of_also_test, columns_of_task, location_of, location_of_task
from src.data.sources.labelled_text import LabelledText
from src.data.sources.ready_splits import read_split
from src.data.sources.vader import read_vader
from src.data.splits import share_texts
from src.params import Metric, Params, check_metrics
from src.system.errors import UserError


@dataclass(frozen=True)
class Source:
    """The labelled rows to cut splits from, and the task's own test split and second test set where it has them.

    `overlap_left_out` counts the rows that test_overlap left out, because one of the two has their text.
    """

    rows: LabelledText
    test: LabelledText | None = None
    also_test: LabelledText | None = None
    overlap_left_out: int = 0

    @property
    def dropped(self) -> dict[str, int]:
        """How many rows of the source's splits drop_labels left out."""
        return {"train": self.rows.dropped} | ({"test": self.test.dropped} if self.test else {})


def read_source(name: str, params: Params) -> Source:
    """Read the splits of a task.

    Raises:
        UserError: a split cannot be read, or has no row of some label.
    """
    settings = params.task(name)
    if settings.source == "vader":
        assert settings.part is not None  # as TaskSettings checks
        rows = read_vader(settings.part)
        _check_metrics(name, settings.metrics, rows.label_names)
        return Source(rows)
    rows = _read_whole(name, params, "train_split", "")
    test = None
    if settings.test_split is not None:
        test = _read_whole(name, params, "test_split", ", or null, which cuts test from train")
    _check_votes(f"task_settings.{name}.human", settings.human, test or rows)
    source = Source(rows, test, _read_also_test(name, params))
    return source if settings.test_overlap == "keep" else _without_overlap(name, source)


def _read_whole(name: str, params: Params, key: str, other_way: str) -> LabelledText:
    settings = params.task(name)
    split = getattr(settings, key)
    data = read_split(name, location_of_task(settings, params.glue), columns_of_task(settings), split)
    where = f"params.yaml: task_settings.{name}.{key}"
    _check_labels(where, f"split '{split}'", data, f"a split with rows of every label{other_way}")
    return data


def _read_also_test(name: str, params: Params) -> LabelledText | None:
    settings, also = params.task(name), params.task(name).also_test
    if also is None:
        return None
    data = read_split(name, location_of(also), columns_of_also_test(also, settings), also.split)
    where = f"task_settings.{name}.also_test"
    _check_labels(f"params.yaml: {where}", f"split '{also.split}'", data, "a split with rows of every label")
    _check_votes(f"{where}.human", also.human, data)
    return data


def _check_votes(key: str, human: list[str] | None, data: LabelledText) -> None:
    """What is tested on must have the votes that params name."""
    if human is not None and not data.human_columns:
        raise UserError(f"params.yaml: {key}", f"test has no columns {', '.join(human)}", "columns of votes, or null")


def _without_overlap(name: str, source: Source) -> Source:
    shared = np.zeros(len(source.rows.rows), dtype=bool)
    for tested in filter(None, (source.test, source.also_test)):
        shared |= share_texts(source.rows.rows, tested.rows)
    rest = replace(source.rows, rows=source.rows.rows[~shared].reset_index(drop=True))
    where = f"params.yaml: task_settings.{name}.test_overlap"
    _check_labels(where, f"train, less the {shared.sum()} rows with a text of test,", rest, "keep them: keep")
    return replace(source, rows=rest, overlap_left_out=int(shared.sum()))


def _check_labels(where: str, what: str, data: LabelledText, allowed: str) -> None:
    """All that is learnt and measured is defined over all labels."""
    present = set(data.rows["label"])
    absent = [label for number, label in enumerate(data.label_names) if number not in present]
    if absent:
        raise UserError(where, f"{what} has no row of label '{absent[0]}'", allowed)


def _check_metrics(name: str, metrics: list[Metric], label_names: list[str]) -> None:
    """For label names that only the source knows; those in params.yaml were checked with it."""
    try:
        check_metrics(metrics, label_names)
    except ValueError as error:
        where = f"params.yaml: task_settings.{name}.metrics"
        raise UserError(where, f"does not fit {', '.join(label_names)}", str(error)) from None
