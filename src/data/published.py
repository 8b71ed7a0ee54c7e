"""Data sets with splits of their own: GLUE and any other, from the Hugging Face hub or a local folder.

A local folder holds one file a split: `<split>.jsonl[.gz]`, `.parquet`, `.csv` or `.tsv`, with the column names
of the hub's data set and labels as integers or as names.
"""

import csv
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from src.data.table import LabelledText
from src.errors import UserError, first_line
from src.params import Glue, TaskSettings

SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet", ".csv", ".tsv")


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
    if not path.is_file():
        raise UserError(path, "no such file", f"allowed endings: {', '.join(SUFFIXES)}")
    raw = _read_readable(path, texts)
    _check_columns(str(path), raw, texts)
    rows = pd.DataFrame(dict(zip(["text_a", "text_b"], (raw[column] for column in texts), strict=False)))
    rows["row_id"] = [f"{path.name}_{row}" for row in range(len(rows))]
    return rows.reindex(columns=columns)


def _read_file(folder: Path, split: str, text: list[str]) -> tuple[str, pd.DataFrame]:
    candidates = [folder / f"{split}{suffix}" for suffix in SUFFIXES]
    found = [path for path in candidates if path.is_file()]
    if not found:
        raise UserError(folder / split, "no such file", f"allowed endings: {', '.join(SUFFIXES)}")
    return str(found[0]), _read_readable(found[0], text)


def _read_readable(path: Path, text: list[str]) -> pd.DataFrame:
    try:
        return _read_table(path, dict.fromkeys(text, str))
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise UserError(path, f"not readable ({first_line(error)})", "check the file's format") from None


def _read_table(path: Path, types: dict[str, type]) -> pd.DataFrame:
    """Texts are kept to the letter: no quoting in .tsv files, and no word such as NA means a missing value."""
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return pd.read_json(path, lines=True, dtype=False, encoding="utf-8")
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".tsv":
        return pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False, dtype=types)
    return pd.read_csv(path, keep_default_na=False, dtype=types)


def _read_hub(name: str, settings: TaskSettings, glue: Glue, split: str) -> tuple[str, pd.DataFrame]:
    from datasets import load_dataset  # slow to import, and needed for the hub only
    from datasets.exceptions import DatasetsError

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
        bad = [row for row, text in enumerate(raw[column]) if not isinstance(text, str)]
        if bad:
            raise UserError(f"{place}, row {bad[0]}", f"column '{column}' holds no text", "a text that is not empty")
    # One text of a pair may be empty: QQP has two such rows.
    empty = (raw[texts].apply(lambda column: column.str.strip()) == "").all(axis=1).to_numpy()
    if empty.any():
        where = f"{place}, row {np.flatnonzero(empty)[0]}"
        raise UserError(where, f"column '{texts[0]}' holds no text", "a text that is not empty")


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
        numbers = values.map({name: number for number, name in enumerate(names)})
    bad = np.flatnonzero(~numbers.isin(range(len(names))).to_numpy())
    if len(bad):
        problem = f"label {values.iloc[[bad[0]]].tolist()[0]!r} is out of range"
        allowed = f"allowed: 0 to {len(names) - 1}, or a name of {', '.join(names)}"
        raise UserError(f"{place}, row {bad[0]}", problem, allowed)
    return numbers.to_numpy(dtype=np.int64)
