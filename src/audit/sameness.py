"""The conditions under which an audit expects equal bytes, and the first values that differ."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.runs import RunName
from src.system.files import is_file, read_csv_texts, read_json, read_parquet

FILES = ("predictions.parquet", "history.csv", "runs.csv")
RUN = ["role", "arm", "seed"]
WITHOUT_A_PART = "python"  # no kernel and no order of summation depends on it
ABSENT = "nothing"


@dataclass(frozen=True)
class Origin:
    """The code and environments that made runs; `code` is the hash of the training code, or None if it was not kept."""

    code: str | None
    environments: list[dict[str, Any]]


def origin_of(records: Path) -> Origin:
    """The origin of the records in a folder."""
    code = read_json(records / "code.json")["sha256"] if is_file(records / "code.json") else None
    return Origin(code, read_json(records / "environment.json"))


def differing(recorded: Origin, here: Origin) -> dict[str, tuple[str, str]]:
    """The keys in which the origins differ, with the values in the records and here.

    If none differs, an audit expects equal bytes. Records with several environments do not say which run had which, so
    all their values are compared.
    """
    found = {}
    if recorded.code != here.code:
        found["training code"] = ((recorded.code or ABSENT)[:8], (here.code or ABSENT)[:8])
    keys = dict.fromkeys(key for one in recorded.environments + here.environments for key in one)
    for key in keys:
        kept, ours = (_values(origin, key) for origin in (recorded, here))
        if kept != ours and key != WITHOUT_A_PART:
            found[key] = (kept, ours)
    return found


def python_versions(recorded: Origin, here: Origin) -> tuple[str, str]:
    """The Python versions of the records and of this process. A difference is printed, but explains no other."""
    return _values(recorded, WITHOUT_A_PART), _values(here, WITHOUT_A_PART)


@dataclass(frozen=True)
class FirstDifference:
    """The first place where a run differs from its record, in one file."""

    run: RunName
    file: str
    where: str
    here: str
    recorded: str

    def __str__(self) -> str:
        return f"{self.run}: {self.file}: {self.where} is {self.here} here and {self.recorded} in the records"


def first_differences(recorded: Path, here: Path, runs: list[RunName]) -> list[FirstDifference]:
    """For each run and file, the first value that differs from the record in any digit, among the columns of both."""
    found = []
    for file in FILES:
        theirs, ours = (_table(folder / file) for folder in (recorded, here))
        shared = [column for column in theirs if column in ours and column not in RUN]
        for run in runs:
            pair = (_rows_of(table, run)[shared] for table in (theirs, ours))
            if (place := _first_difference(*pair)) is not None:
                found.append(FirstDifference(run, file, *place))
    return found


def columns_of_one_side(recorded: Path, here: Path) -> list[str]:
    """A sentence for each column that only one of two records has."""
    found = []
    for file in FILES:
        theirs, ours = (list(_table(folder / file)) for folder in (recorded, here))
        found += [f"{file}: {column}, only in the records" for column in theirs if column not in ours]
        found += [f"{file}: {column}, not in the records" for column in ours if column not in theirs]
    return found


def _values(origin: Origin, key: str) -> str:
    return " or ".join(dict.fromkeys(str(one.get(key, ABSENT)) for one in origin.environments))


def _table(path: Path) -> pd.DataFrame:
    """A table; values of CSV are read as text, so that every digit is compared."""
    return read_parquet(path) if path.suffix == ".parquet" else read_csv_texts(path)


def _rows_of(table: pd.DataFrame, run: RunName) -> pd.DataFrame:
    own = (table["role"] == run.role) & (table["arm"] == run.arm) & (table["seed"].astype(str) == str(run.seed))
    return table[own].reset_index(drop=True)


def _first_difference(theirs: pd.DataFrame, ours: pd.DataFrame) -> tuple[str, str, str] | None:
    """The place, the value here, and the recorded value."""
    if len(theirs) != len(ours):
        return "its number of rows", str(len(ours)), str(len(theirs))
    unequal = np.stack([_unequal(theirs[column], ours[column]) for column in theirs], axis=1)
    if not unequal.any():
        return None
    line, number = map(int, np.argwhere(unequal)[0])
    row, column = ours.iloc[line], ours.columns[number]
    names = [f"{key} {row[key]}" for key in ("split", "row_id", "epoch") if key in row and key != column]
    return ", ".join([*names, column]), str(row[column]), str(theirs.iloc[line][column])


def _unequal(column: pd.Series, other_column: pd.Series) -> np.ndarray:
    """Which values (N,) of two columns differ. Numbers are compared as bytes: NaN equals NaN, and -0 differs from 0."""
    one, other = column.to_numpy(), other_column.to_numpy()
    if one.dtype != other.dtype:
        return np.ones(len(one), bool)
    if one.dtype.kind == "f":
        return one.view(f"u{one.itemsize}") != other.view(f"u{other.itemsize}")
    return np.asarray(one != other, bool)
