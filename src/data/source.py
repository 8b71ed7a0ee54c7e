"""The rows from which a task's splits are cut: the source's rows without those that params.yaml leaves out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
    """The labelled rows to cut splits from, and the task's own test split and second test set, if it has them.

    `overlap_left_out` counts the rows that `test_overlap: drop` left out, by the test set that has their text.
    """

    rows: LabelledText
    test: LabelledText | None = None
    also_test: LabelledText | None = None
    overlap_left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def dropped(self) -> dict[str, int]:
        """The number of rows that drop_labels left out of each split of the source."""
        return {"train": self.rows.dropped} | ({"test": self.test.dropped} if self.test else {})


def read_source(name: str, params: Params) -> Source:
    """Read the splits of a task.

    Raises:
        UserError: a split cannot be read, or lacks rows of a label.
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
        test = _read_whole(name, params, "test_split", ", or set it to null to cut test from train")
    _check_votes(f"task_settings.{name}.human", settings.human, test or rows)
    source = Source(rows, test, _read_also_test(name, params))
    return source if settings.test_overlap == "keep" else _without_overlap(name, source)


def _read_whole(name: str, params: Params, key: str, other_way: str) -> LabelledText:
    settings = params.task(name)
    split = getattr(settings, key)
    location, key_of_task = location_of_task(settings, params.glue), f"task_settings.{name}.{key}"
    if key == "test_split":
        location = replace(location, without_split=f"set {key_of_task} to null to cut test rows from train")
    data = read_split(name, location, columns_of_task(settings), split)
    where = f"params.yaml: {key_of_task}"
    _check_labels(where, f"split '{split}'", data, f"name a split with rows of every label{other_way}")
    return data


def _read_also_test(name: str, params: Params) -> LabelledText | None:
    settings, also = params.task(name), params.task(name).also_test
    if also is None:
        return None
    data = read_split(name, location_of(also), columns_of_also_test(also, settings), also.split)
    where = f"task_settings.{name}.also_test"
    _check_labels(f"params.yaml: {where}", f"split '{also.split}'", data, "name a split with rows of every label")
    _check_votes(f"{where}.human", also.human, data)
    return data


def _check_votes(key: str, human: list[str] | None, data: LabelledText) -> None:
    """Check that a test set has the columns of votes that params.yaml names."""
    if human is not None and not data.human_columns:
        problem = f"test has no columns {', '.join(human)}"
        raise UserError(f"params.yaml: {key}", problem, "name columns of votes, or set it to null")


def _without_overlap(name: str, source: Source) -> Source:
    rows, tests = source.rows.rows, {"test": source.test, "also_test": source.also_test}
    found = {test: share_texts(rows, tested.rows) for test, tested in tests.items() if tested}
    shared = np.any([np.zeros(len(rows), dtype=bool), *found.values()], axis=0)
    rest = replace(source.rows, rows=rows[~shared].reset_index(drop=True))
    where = f"params.yaml: task_settings.{name}.test_overlap"
    what = f"train, without the {shared.sum()} rows that share a text with test,"
    _check_labels(where, what, rest, "set test_overlap to keep")
    return replace(source, rows=rest, overlap_left_out={test: int(one.sum()) for test, one in found.items()})


def _check_labels(where: str, what: str, data: LabelledText, allowed: str) -> None:
    """Check that every label has rows: training and metrics need them."""
    present = set(data.rows["label"])
    absent = [label for number, label in enumerate(data.label_names) if number not in present]
    if absent:
        raise UserError(where, f"{what} has no row of label '{absent[0]}'", allowed)


def _check_metrics(name: str, metrics: list[Metric], label_names: list[str]) -> None:
    """Check the metrics against labels that only the source names; params.yaml checks its own labels."""
    try:
        check_metrics(metrics, label_names)
    except ValueError as error:
        where = f"params.yaml: task_settings.{name}.metrics"
        raise UserError(where, f"does not fit {', '.join(label_names)}", str(error)) from None
