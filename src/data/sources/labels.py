"""The labels of a data set's rows as numbers, 0 to C - 1, and the rows that drop_labels leaves out.

A row's label is a name from the task's `labels`, or the place of that name among them, a whole number from 0. If the
names themselves are numbers, such as stars from "1" to "5", a number in the data is always a name. A typed true or
false is a label only if `labels` has its text.
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

# Numbers as programs write them. A text such as 007 is a code, not a number.
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")


def learnt_numbers(raw: RawSplit, columns: Columns) -> np.ndarray:
    """The number of each row's label among the learnt labels, or LEFT_OUT if `drop_labels` has the label.

    Returns:
        (N,) integers.

    Raises:
        UserError: for the same reasons as `label_numbers`.
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
        place: the source of the rows, for errors.
        labels: (N,) names or numbers, indexed by the place of their row.
        names: the names of the labels, in order.
        named_by_source: whether the data set itself gives these names in this order, so that its numbers are places.

    Returns:
        (N,) integers.

    Raises:
        UserError: a label is neither a name nor the number of one, some labels are names and others numbers, or a
            number may be a name or a place.
    """
    by_name = not named_by_source and any(map(_is_number, names))
    known = {name: number for number, name in enumerate(names)}
    found = np.empty(len(labels), dtype=np.int64)
    for position, (row, label) in enumerate(labels.items()):
        number = known.get(canonical(label)) if isinstance(label, str) else _number(label, known, by_name)
        if number is None:
            raise UserError(f"{place}, {row}", *_refusal(label, names, by_name))
        found[position] = number
    _check_one_kind(place, labels)
    if by_name:
        _check_order(place, labels, names)
    return found


def names_in(features: Mapping[str, Any], label: str) -> list[str]:
    """The label names of a column of numbers, in order, from the features of `datasets` or their JSON; may be empty."""
    column = {canonical(name): feature for name, feature in features.items()}.get(label)
    names = column.get("names") if isinstance(column, dict) else getattr(column, "names", None)
    return names if isinstance(names, list) else []


def check_names(raw: RawSplit, labels: list[str]) -> None:
    """Check that params.yaml has the label names of the source, if it has any, in the same order and in any case.

    Raises:
        UserError: the names differ.
    """
    names = raw.label_names
    if names and [canonical(name).casefold() for name in names] != [label.casefold() for label in labels]:
        left_out = ", and list those not to learn in drop_labels" if len(labels) < len(names) else ""
        allowed = f"set the task's labels to [{', '.join(names)}]{left_out}"
        raise UserError(raw.where, f"its labels are not {', '.join(labels)} in this order", allowed)


def typed(texts: pd.Series, columns: Columns) -> pd.Series:
    """The labels in a column without types: numbers, names (the name 1 may be written as 1.0), and other texts."""
    names = {*columns.labels}
    told = names | {*map(str, columns.drop_labels)}

    def meaning(text: str) -> str | int | float | None:
        number = _as_number(text)
        return text if canonical(text) in told else name if (name := _text(number)) in names else number

    meanings = {text: meaning(text) for text in texts.unique()}
    return pd.Series([meanings[text] for text in texts], index=texts.index, dtype=object)


def is_one_of(labels: pd.Series, wanted: list[Label]) -> np.ndarray:
    """Whether each row's label is a wanted one, written as a number or as text. None means a row without a label.

    A wanted text that is a number also means the number: files without types, such as .csv, have 1.50 as 1.5.

    Returns:
        (N,) booleans.
    """
    texts = {"" if label is None else str(label) for label in wanted}
    numbers = {_as_number(text) for text in texts}
    return np.array([_is_wanted(label, texts, numbers) for label in labels], dtype=bool)


def _is_wanted(label: object, texts: set[str], numbers: set[str | int | float]) -> bool:
    text = _text(label)
    if text in texts or isinstance(label, str) or text == "":  # a missing label has no other text, such as nan
        return text in texts
    return not texts.isdisjoint(_spellings(label)) or (_is_real(label) and label in numbers)


def _spellings(label: object) -> list[str]:
    """The texts of a label that is not a text itself. JSON writes true and false, pandas True and False."""
    return [str(label), str(label).lower()] if _is_boolean(label) else [str(label)]


def _refusal(label: object, names: list[str], by_name: bool) -> tuple[str, str]:
    """The problem with a label, and what is allowed."""
    if _is_boolean(label):
        allowed = 'write true and false as text or as 0 and 1, or set labels to ["False", "True"]'
        return f"true and false are no labels, but this row has {label}", allowed
    places = "" if by_name else f"0 to {len(names) - 1} as a number, or "
    allowed = f"allowed: {places}a name of {', '.join(names)}; list other labels in drop_labels"
    return f"label {label!r:.60} is out of range", allowed


def _number(label: object, known: dict[str, int], by_name: bool) -> int | None:
    """The number of a label that is not a text; None if it is not a label."""
    if _is_boolean(label):
        return next((known[text] for text in _spellings(label) if text in known), None)
    if by_name:
        return known.get(str(label), known.get(_text(label))) if _text(label) else None
    if not _is_real(label):
        return None
    return next((number for number in known.values() if number == label), None)


def _text(label: object) -> str | None:
    """A label as people write it, 1.0 as 1. Empty for a missing label, None for other types than numbers and texts."""
    if isinstance(label, str):
        return canonical(label)
    if label is None or label is pd.NA or (isinstance(label, float) and math.isnan(label)):
        return ""
    if not _is_real(label):
        return None
    return str(math.floor(label)) if label == label // 1 and math.isfinite(label) else str(label)


def _is_real(label: object) -> TypeGuard[Real]:
    """Whether a label is a number; true and false are not."""
    return isinstance(label, Real) and not _is_boolean(label)


def _is_boolean(label: object) -> bool:
    return isinstance(label, (bool, np.bool_))


def _as_number(text: str) -> str | int | float:
    """The number that a text spells, or the text itself."""
    if not NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def _is_number(name: str) -> bool:
    """Whether Python reads a name as a number."""
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _check_one_kind(place: str, labels: pd.Series) -> None:
    """Refuse a mixture of names and numbers, which is always a mistake."""
    kinds = np.array([isinstance(label, str) or _is_boolean(label) for label in labels], dtype=bool)
    if kinds.any() and not kinds.all():
        position = int(np.argmax(kinds != kinds[0]))
        problem = f"label {labels.iloc[position]!r:.60} is a {'name' if kinds[position] else 'number'}, others are not"
        raise UserError(f"{place}, {labels.index[position]}", problem, "use either names or numbers in all rows")


def _check_order(place: str, labels: pd.Series, names: list[str]) -> None:
    """Refuse numbers as labels if the names are 1, 0 or the like: each number may be a name or a place."""
    order = [str(number) for number in range(len(names))]
    if set(names) != set(order) or names == order:
        return
    for row, label in labels.items():
        if not isinstance(label, str):
            problem = f"label {label} may be the name '{_text(label)}' or a place among {', '.join(names)}"
            allowed = f"write names as texts, or set labels in the order {', '.join(order)}"
            raise UserError(f"{place}, {row}", problem, allowed)
