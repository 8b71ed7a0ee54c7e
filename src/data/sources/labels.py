"""The labels of a data set's rows as numbers, 0 to C - 1, and the rows that drop_labels leaves out.

A row gives its label as a name of the task's `labels`, or as the name's place among them, a whole number from 0.
Where the names are numbers themselves, such as stars from "1" to "5", a number in the data is a name, never a place.
"""

import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from src.data.sources.dataset import Columns, Label, RawSplit
from src.system.errors import UserError
from src.system.unicode import canonical

LEFT_OUT = -1

# As programs write numbers; what begins with a zero is a code.
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")


def learnt_numbers(raw: RawSplit, columns: Columns) -> np.ndarray:
    """The number of each row's label among the learnt ones, or LEFT_OUT where `drop_labels` holds it.

    Returns:
        (N,) integers.

    Raises:
        UserError: as `label_numbers`.
    """
    labels, names = raw.table[columns.label], columns.labels
    unnamed = [label for label in columns.drop_labels if label is None or str(label) not in names]
    known = ~is_one_of(labels, unnamed)
    dropped = {str(label) for label in columns.drop_labels if label not in unnamed}
    learnt = {name: number for number, name in enumerate(columns.learnt_labels) if name not in dropped}
    numbers = np.array([learnt.get(name, LEFT_OUT) for name in names])
    found = np.full(len(labels), LEFT_OUT)
    found[known] = numbers[label_numbers(raw.where, labels[known], names, named_by_source=bool(raw.label_names))]
    return found


def label_numbers(place: str, labels: pd.Series, names: list[str], named_by_source: bool = False) -> np.ndarray:
    """The number of each row's label.

    Args:
        place: where the rows are from, for errors.
        labels: (N,) names or numbers, indexed by where their row is.
        names: the names of the labels, in order.
        named_by_source: the data set itself says that these are its names, in this order: its numbers are places.

    Returns:
        (N,) integers.

    Raises:
        UserError: a label is neither a name nor a number that stands for one, some are names and others numbers, or
            numbers may be meant as names and as places alike.
    """
    by_name = not named_by_source and any(map(_is_number, names))
    known = {name: number for number, name in enumerate(names)}
    found = np.empty(len(labels), dtype=np.int64)
    for position, (row, label) in enumerate(labels.items()):
        number = known.get(canonical(label)) if isinstance(label, str) else _number(label, known, by_name)
        if number is None:
            places = "" if by_name else f"0 to {len(names) - 1} as a number, or "
            allowed = f"allowed: {places}a name of {', '.join(names)}; drop_labels leaves out rows of other labels"
            raise UserError(f"{place}, {row}", f"label {label!r:.60} is out of range", allowed)
        found[position] = number
    _check_one_kind(place, labels)
    if by_name:
        _check_order(place, labels, names)
    return found


def names_in(features: Mapping[str, Any], label: str) -> list[str]:
    """The names that features of `datasets` give the numbers of a column of labels, in order; empty without."""
    column = {canonical(name): feature for name, feature in features.items()}.get(label)
    return getattr(column, "names", None) or []


def check_names(raw: RawSplit, labels: list[str]) -> None:
    """Where a source names its labels, params must name them alike and in the same order (case aside).

    Raises:
        UserError: they do not.
    """
    names = raw.label_names
    if names and [canonical(name).casefold() for name in names] != [label.casefold() for label in labels]:
        left_out = "; drop_labels names those not to learn" if len(labels) < len(names) else ""
        allowed = f"set the task's labels to [{', '.join(names)}]{left_out}"
        raise UserError(raw.where, f"its labels are not {', '.join(labels)} in this order", allowed)


def typed(texts: pd.Series, names: list[str]) -> pd.Series:
    """What the texts of a column without types stand for: names where they are names, or else numbers."""
    meanings = {text: text if canonical(text) in names else _as_number(text) for text in texts.unique()}
    return pd.Series([meanings[text] for text in texts], index=texts.index, dtype=object)


def is_one_of(labels: pd.Series, wanted: list[Label]) -> np.ndarray:
    """Whether each row's label is one of these, written as a number or as text; None is that of a row without one.

    Returns:
        (N,) booleans.
    """
    texts = {"" if label is None else str(label) for label in wanted}
    return np.array([_text(label) in texts for label in labels], dtype=bool)


def _number(label: object, known: dict[str, int], by_name: bool) -> int | None:
    """The number of a label that is no text; None for anything that stands for no label."""
    if by_name:
        return known.get(str(label), known.get(_text(label))) if _text(label) else None
    if not _is_real(label):
        return None
    return next((number for number in known.values() if number == label), None)


def _text(label: object) -> str | None:
    """A label as people write it, 1.0 as 1; empty without one, and None for what is neither number nor text."""
    if isinstance(label, str):
        return canonical(label)
    if label is None or label is pd.NA or (isinstance(label, float) and math.isnan(label)):
        return ""
    if not _is_real(label):
        return None
    return str(math.floor(label)) if label == label // 1 and math.isfinite(label) else str(label)


def _is_real(label: object) -> TypeGuard[Real]:
    """Whether a label is a number; true and false are none."""
    return isinstance(label, Real) and not isinstance(label, (bool, np.bool_))


def _as_number(text: str) -> str | int | float:
    """The number that a text is, or the text itself."""
    if not NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def _is_number(name: str) -> bool:
    """Whether a name may be read as a number in any way."""
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _check_one_kind(place: str, labels: pd.Series) -> None:
    """Names among numbers are a mistake somewhere."""
    kinds = np.array([isinstance(label, str) for label in labels], dtype=bool)
    if kinds.any() and not kinds.all():
        position = int(np.argmax(kinds != kinds[0]))
        problem = f"label {labels.iloc[position]!r:.60} is a {'name' if kinds[position] else 'number'}, others are not"
        raise UserError(f"{place}, {labels.index[position]}", problem, "either names or numbers in all rows")


def _check_order(place: str, labels: pd.Series, names: list[str]) -> None:
    """Of names such as 1, 0 no row could show whether its number is a name or a place."""
    order = [str(number) for number in range(len(names))]
    if set(names) != set(order) or names == order:
        return
    for row, label in labels.items():
        if not isinstance(label, str):
            problem = f"label {label} may be the name '{_text(label)}' or a place among {', '.join(names)}"
            allowed = f"names as texts, or labels in the order {', '.join(order)}"
            raise UserError(f"{place}, {row}", problem, allowed)
