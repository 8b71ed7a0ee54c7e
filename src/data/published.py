"""Data sets with splits of their own: GLUE and any other, from the Hugging Face hub or a local folder.

A local folder holds one file a split: `<split>.jsonl[.gz]`, `.parquet`, `.csv` or `.tsv`, with the column names
of the hub's data set and labels as integers or as names.
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow

from src.data.table import LabelledText
from src.errors import UserError, first_line
from src.files import is_file
from src.params import Glue, TaskSettings

SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet", ".csv", ".tsv")
# Models read some hundred words of a text. A longer one than this is a fault of the file, such as a missing quote.
LONGEST_TEXT = 1_000_000
TEXT_ALLOWED = f"a text that is not empty, of at most {LONGEST_TEXT} characters of Unicode"
# What the readers raise, depending on where the damage is.
DAMAGE = (ValueError, OSError, EOFError, zlib.error, RecursionError, KeyError, TypeError, pyarrow.ArrowException)


def read_split(name: str, settings: TaskSettings, glue: Glue, split: str) -> LabelledText:
    """Read one split of a task whose source is glue, hub or folder.

    Raises:
        UserError: the split cannot be found or read, a column is missing, or a label is out of range.
    """
    if settings.source == "folder" or (settings.source == "glue" and glue.folder):
        folder = Path(settings.path) if settings.source == "folder" else Path(glue.folder) / settings.part
        place, raw = _read_file(folder, split, settings.text)
    else:
        place, raw = _read_hub(name, settings, glue, split)
    _check_columns(place, raw, settings.text, settings.label)
    return _labelled(place, raw, settings, split)


def read_texts(path: Path, settings: TaskSettings, columns: list[str]) -> pd.DataFrame:
    """Texts without labels from one file in a local format, as rows with the given columns (those unknown empty).

    Raises:
        UserError: the file cannot be read, or lacks a text column.
    """
    texts = settings.text or ["text"]
    if not path.name.endswith(SUFFIXES) or not is_file(path):
        raise UserError(path, "no such file in a known format", f"allowed endings: {', '.join(SUFFIXES)}")
    raw = _read_readable(path, texts)
    _check_columns(str(path), raw, texts)
    rows = pd.DataFrame(dict(zip(["text_a", "text_b"], (raw[column].astype(str) for column in texts), strict=False)))
    rows["row_id"] = [f"{path.name}_{row}" for row in range(len(rows))]
    return rows.reindex(columns=columns)


def _read_file(folder: Path, split: str, text: list[str]) -> tuple[str, pd.DataFrame]:
    candidates = [folder / f"{split}{suffix}" for suffix in SUFFIXES]
    found = [path for path in candidates if is_file(path)]
    if not found:
        raise UserError(folder / split, "no such file", f"allowed endings: {', '.join(SUFFIXES)}")
    return str(found[0]), _read_readable(found[0], text)


def _read_readable(path: Path, text: list[str]) -> pd.DataFrame:
    try:
        return _read_table(path, dict.fromkeys(text, str))
    except UnicodeDecodeError as error:
        raise UserError(path, f"not readable ({first_line(error)})", "text encoded as UTF-8") from None
    except DAMAGE as error:
        raise UserError(path, f"not readable ({first_line(error)})", "check the file's format") from None


def _read_table(path: Path, types: dict[str, type]) -> pd.DataFrame:
    """Texts are kept to the letter: no quoting in .tsv files, and no word such as NA means a missing value."""
    if path.suffix == ".parquet":
        return _read_parquet(path)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if b"\0" in content and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it holds NUL characters, as binary files and other encodings than UTF-8 do")
    text = content.decode("utf-8-sig")
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _read_json_lines(text)
    quoting = csv.QUOTE_NONE if path.suffix == ".tsv" else csv.QUOTE_MINIMAL
    return _read_separated(text, types, sep="\t" if path.suffix == ".tsv" else ",", quoting=quoting)


def _read_parquet(path: Path) -> pd.DataFrame:
    rows = pd.read_parquet(path)
    for _, values in rows.items():
        values.to_list()  # pandas decodes text late: bytes that are no UTF-8 are to be found here
    return rows


def _read_json_lines(text: str) -> pd.DataFrame:
    """One JSON object a line; blank lines do not count."""
    rows = []
    for line in io.StringIO(text, newline="\n"):
        if line.strip():
            rows.append(_json_object(line, len(rows)))
    return pd.DataFrame(rows, dtype=object)  # pandas would stumble over texts that `_check_columns` is to refuse


def _json_object(line: str, row: int) -> dict[str, Any]:
    try:
        found = json.loads(line, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except ValueError as error:
        raise ValueError(f"row {row}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"row {row}: {found!r:.40} is no JSON object")
    return found


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _read_separated(text: str, types: dict[str, type], **dialect: Any) -> pd.DataFrame:
    """A table with a header; rows of another number of fields are refused, of which pandas takes some."""
    header = pd.read_csv(io.StringIO(text), header=None, nrows=1, dtype=str, keep_default_na=False, **dialect)
    names = header.iloc[0].tolist()
    if len(set(names)) < len(names):
        raise ValueError(f"its header names a column twice: {', '.join(names):.100}")
    # Without low_memory, pandas would guess the type of a column part by part.
    raw = pd.read_csv(io.StringIO(text), keep_default_na=False, dtype=types, low_memory=False, **dialect)
    if not isinstance(raw.index, pd.RangeIndex):
        raise ValueError("its rows have more fields than its header")
    return raw


def _read_hub(name: str, settings: TaskSettings, glue: Glue, split: str) -> tuple[str, pd.DataFrame]:
    from datasets import disable_progress_bars, load_dataset  # slow to import, and needed for the hub only
    from datasets.exceptions import DatasetsError

    disable_progress_bars()
    repository, revision = (
        (glue.repository, glue.revision) if settings.source == "glue" else (settings.path, settings.revision)
    )
    place = f"{repository}/{settings.part or ''} {split}"
    try:
        rows = load_dataset(repository, settings.part, split=split, revision=revision)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        problem = f"cannot be loaded ({first_line(error)})"
        hint = "set glue.folder" if settings.source == "glue" else "use source: folder"
        raise UserError(f"task {name}: {place}", problem, f"check the network, or {hint} for a local copy") from None
    _check_label_names(place, getattr(rows.features.get(settings.label), "names", None), settings.labels)
    return place, rows.to_pandas()


def _check_label_names(place: str, names: list[str] | None, labels: list[str]) -> None:
    """Where the data set names its labels, params must name them alike and in the same order (case aside)."""
    if names and [name.casefold() for name in names] != [label.casefold() for label in labels]:
        allowed = f"set the task's labels to [{', '.join(names)}]"
        raise UserError(place, f"its labels are not {', '.join(labels)} in this order", allowed)


def _check_columns(place: str, raw: pd.DataFrame, texts: list[str], *others: str) -> None:
    if raw.empty:
        raise UserError(place, "holds no rows", "at least one is needed")
    for column in [*texts, *others]:
        if column not in raw.columns:
            raise UserError(place, f"no column '{column}'", f"allowed: {', '.join(map(str, raw.columns))}")
    for column in texts:
        for row, text in enumerate(raw[column]):
            if fault := _fault_of(text):
                raise UserError(f"{place}, row {row}", f"column '{column}' holds {fault}", TEXT_ALLOWED)
    # One text of a pair may be empty: QQP has two such rows.
    empty = (raw[texts].apply(lambda column: column.str.strip()) == "").all(axis=1).to_numpy()
    if empty.any():
        where = f"{place}, row {np.flatnonzero(empty)[0]}"
        raise UserError(where, f"column '{texts[0]}' holds no text", TEXT_ALLOWED)


def _fault_of(text: object) -> str | None:
    """What is wrong with a text, if anything."""
    if not isinstance(text, str):
        return "no text"
    if len(text) > LONGEST_TEXT:
        return f"a text of {len(text)} characters"
    if "\0" in text:
        return "a NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is no character"
    return None


def _labelled(place: str, raw: pd.DataFrame, settings: TaskSettings, split: str) -> LabelledText:
    """The project's own columns; rows with equal texts share a group."""
    texts = dict(zip(["text_a", "text_b"], (raw[column].astype(str) for column in settings.text), strict=False))
    rows = pd.DataFrame(texts)
    rows.insert(0, "row_id", [f"{split}_{row}" for row in range(len(rows))])
    rows["label"] = _label_numbers(place, raw[settings.label], settings.labels)
    rows["group"] = rows["row_id"]
    return LabelledText(rows, settings.labels, "see the data set's own page")


def _label_numbers(place: str, values: pd.Series, names: list[str]) -> np.ndarray:
    """Labels as 0 to C - 1, from integers or names."""
    numbers = values
    if values.dtype.kind not in "iuf":
        known = {name: number for number, name in enumerate(names)}
        numbers = pd.Series([_label_number(value, known) for value in values])
    bad = np.flatnonzero(~numbers.isin(range(len(names))).to_numpy())
    if len(bad):
        row = _least_like_a_label(values, bad, len(names))
        problem = f"label {values.iloc[[row]].tolist()[0]!r:.60} is out of range"
        allowed = f"allowed: 0 to {len(names) - 1}, or a name of {', '.join(names)}"
        raise UserError(f"{place}, row {row}", problem, allowed)
    return numbers.to_numpy(dtype=np.int64)


def _label_number(value: object, known: dict[str, int]) -> float:
    """The number of one label; -1 for anything that is neither a number nor a known name."""
    if isinstance(value, str):
        return known.get(value, -1)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and value in known.values() else -1


def _least_like_a_label(values: pd.Series, bad: np.ndarray, labels: int) -> int:
    """The row to name: one word in a .csv column makes text of all its numbers, which are not the fault."""
    digits = [str(number) for number in range(labels)]
    return next((int(row) for row in bad if values.iloc[row] not in digits), int(bad[0]))
