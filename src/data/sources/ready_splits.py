"""Data sets with their own splits, such as GLUE, from the Hugging Face hub or a local folder.

A local folder (`src.data.sources.folder`) has the column names of the hub's data set. Its labels are integers or names.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from src.data.sources.dataset import Columns, Location, RawSplit, check_columns
from src.data.sources.folder import read_folder
from src.data.sources.hub import read_hub
from src.data.sources.labelled_text import TEXT_NAMES, LabelledText
from src.data.sources.labels import LEFT_OUT, check_names, learnt_numbers
from src.data.sources.layouts import SUFFIXES
from src.data.sources.local import ENDINGS, read_table
from src.data.sources.votes import raters_shares
from src.system.errors import UserError
from src.system.files import is_file

# Models read a few hundred words of a text. A longer text means a fault of the file, such as a missing quote.
LONGEST_TEXT = 1_000_000  # characters
TEXT_ALLOWED = f"allowed: a text that is not empty, of at most {LONGEST_TEXT} characters of Unicode"


def read_split(task: str, location: Location, columns: Columns, split: str) -> LabelledText:
    """Read one split of a data set; errors name `task`.

    Raises:
        UserError: the split cannot be found or read, a column is missing, or a label is out of range.
    """
    raw = _read(task, location, columns, split, columns.label)
    numbers = learnt_numbers(raw, columns)
    _check_texts(raw.where, raw.table[numbers != LEFT_OUT], columns.text)
    return _labelled(raw, columns, split, numbers)


def read_unlabelled(task: str, location: Location, columns: Columns, split: str) -> pd.DataFrame:
    """Read the texts of a split without public labels, in its order; errors name `task`.

    Raises:
        UserError: the split cannot be found or read, or a column of texts is missing.
    """
    raw = _read(task, location, columns, split)
    _check_texts(raw.where, raw.table, columns.text)
    return _texts(raw.table, columns.text)


def read_texts(path: Path, text_columns: list[str], quoting: bool | None, wanted: list[str]) -> pd.DataFrame:
    """Read texts without labels from one local file, as rows with the wanted columns. Unknown columns are empty.

    Args:
        text_columns: the columns of the file that hold text.
        quoting: as in `read_table`.
        wanted: the columns of the result.

    Raises:
        UserError: the file cannot be read, or lacks a text column.
    """
    if not path.name.endswith(SUFFIXES) or not is_file(path):
        raise UserError(path, "no such file in a known format", ENDINGS)
    raw = read_table(path, text_columns, quoting)
    _check_table(str(path), raw, text_columns)
    _check_texts(str(path), raw, text_columns)
    rows = _texts(raw, text_columns)
    rows["row_id"] = [f"{path.name}_{row}" for row in range(len(rows))]
    return rows.reindex(columns=wanted)


def _read(task: str, location: Location, columns: Columns, split: str, *others: str) -> RawSplit:
    """A split that has the columns of texts and the other ones, and the names of labels in params.yaml."""
    folder = location.kind == "folder"
    needed = [*columns.text, *others]
    raw = read_folder(location, columns, split, needed) if folder else read_hub(task, location, columns, split)
    check_names(raw, columns.labels)
    _check_table(raw.where, raw.table, needed)
    return raw


def _check_table(place: str, raw: pd.DataFrame, needed: list[str]) -> None:
    if raw.empty:
        raise UserError(place, "holds no rows", "add at least one")
    check_columns(place, raw, needed)


def _check_texts(place: str, raw: pd.DataFrame, texts: list[str]) -> None:
    for column in texts:
        for row, text in raw[column].items():
            if fault := _fault_of(text):
                raise UserError(f"{place}, {row}", f"column '{column}' holds {fault}", TEXT_ALLOWED)
    # One text of a pair may be empty: QQP has two such rows.
    empty = is_empty(raw[texts]).all(axis=1)
    if empty.any():
        raise UserError(f"{place}, {empty.idxmax()}", f"column '{texts[0]}' holds no text", TEXT_ALLOWED)


def is_empty(texts: pd.DataFrame) -> pd.DataFrame:
    """Whether each text is empty or all blanks."""
    return texts.apply(lambda column: column.str.strip()) == ""


def _fault_of(text: object) -> str | None:
    """The fault of a text, or None."""
    if not isinstance(text, str):
        return "no text"
    if len(text) > LONGEST_TEXT:
        return f"a text of {len(text)} characters"
    if "\0" in text:
        return "a NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is not a character"
    return None


def _labelled(raw: RawSplit, columns: Columns, split: str, numbers: np.ndarray) -> LabelledText:
    """The rows that are not dropped, in the project's own columns. Each row is a group of its own.

    `numbers` (N,) has the rows' learnt labels, or LEFT_OUT.
    """
    rows = _texts(raw.table, columns.text)
    rows.insert(0, "row_id", [f"{split}_{row}" for row in range(len(rows))])
    rows["label"] = numbers
    rows["group"] = rows["row_id"]
    kept = numbers != LEFT_OUT
    shares = raters_shares(raw.where, raw.table[kept], columns.human, columns.learnt_labels)
    rows = pd.concat([rows[kept], shares], axis=1).reset_index(drop=True)
    return LabelledText(rows, columns.learnt_labels, "see the data set's own page", dropped=int((~kept).sum()))


def _texts(raw: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The columns of texts under the project's own names."""
    return pd.DataFrame({name: raw[column].astype(str) for name, column in zip(TEXT_NAMES, columns, strict=False)})
