"""Splits in a local folder, in the layouts that `src.data.sources.layouts` finds."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from src.data.sources.dataset import Columns, Location, RawSplit, check_columns, with_canonical_columns
from src.data.sources.labels import names_in, typed
from src.data.sources.layouts import SAVED, SHARD, entries, forms_of
from src.data.sources.local import DAMAGE, ENDINGS, has_types, read_table
from src.system.errors import UserError, first_line
from src.system.files import is_file
from src.system.unicode import canonical


def read_folder(location: Location, columns: Columns, split: str, needed: list[str]) -> RawSplit:
    """Read a split from a local folder.

    Args:
        needed: the columns that it must have. A test split without public labels has only texts.

    Raises:
        UserError: the split is missing, incomplete or there twice, or it cannot be read.
    """
    files = _find(location, split)
    if files[0].is_dir():
        return _read_saved(files[0], columns.label)
    tables = [_read_file(path, columns, needed) for path in files]
    names = _label_names(files, columns.label)
    if len(files) == 1:
        return RawSplit(str(files[0]), tables[0], names)
    placed = [table.rename(index=f"{path.name}, {{}}".format) for path, table in zip(files, tables, strict=True)]
    return RawSplit(str(files[0].parent), pd.concat(placed), names)


def _find(location: Location, split: str) -> list[Path]:
    """The one file of a split, its shards, or the folder that `save_to_disk` wrote."""
    folder = Path(location.name)
    found = forms_of(folder, split)
    if not found:
        raise _not_found(folder, split, location.without_split)
    if len(found) > 1:
        names = " and ".join(str(files[0].relative_to(folder)) for files in found[:2])
        raise UserError(folder, f"has split '{split}' twice, as {names}", "keep one, and move the other away")
    _check_whole(folder, split, found[0])
    return found[0]


def _check_whole(folder: Path, split: str, files: list[Path]) -> None:
    """Check that the numbers in the names of shards are those of one set, from 0 to its last."""
    shards = [shard for shard in map(SHARD.fullmatch, (path.name for path in files)) if shard]
    if not shards:
        return
    counts, numbers = ([int(shard[part]) for shard in shards] for part in ("count", "number"))
    if {*counts} != {len(files)}:
        problem = f"has {len(files)} files of split '{split}', but {files[0].name} is one of {counts[0]}"
        raise UserError(folder, problem, "keep all files of one set, and no others")
    if missing := {*range(len(files))} - {*numbers}:
        problem = f"has {len(files)} files of split '{split}', but none with the number {min(missing)}"
        raise UserError(folder, problem, f"keep the files with the numbers 0 to {len(files) - 1}, each once")


def _not_found(folder: Path, split: str, without_split: str) -> UserError:
    if is_file(folder):
        return UserError(folder, "is a file", f"set the task's path to the folder that holds it, {folder.parent}")
    if is_file(folder / SAVED):
        allowed = f"set the task's path to the folder above it, and the task's split to {folder.absolute().name}"
        return UserError(folder, "is itself a split that save_to_disk wrote", allowed)
    near = [path.name for name, path in entries(folder) if name.startswith(canonical(split))]
    found = f", but there is {near[0]}" if near else ""
    ways = [*filter(None, [without_split]), ENDINGS, "docs/data.md shows other layouts"]
    return UserError(folder / split, f"no such file{found}", "; ".join(ways))


def _read_file(path: Path, columns: Columns, needed: list[str]) -> pd.DataFrame:
    table = read_table(path, needed, columns.quoting)
    if not table.empty:  # a shard may be empty
        check_columns(str(path), table, needed)
    if not has_types(path) and columns.label in table:
        table[columns.label] = typed(table[columns.label], columns)
    return table


def _label_names(files: list[Path], label: str) -> list[str]:
    """The names of labels in Parquet files that `datasets` wrote; empty for other files."""
    for path in files:
        if path.suffix == ".parquet" and (names := names_in(_features(path), label)):
            return names
    return []


def _features(path: Path) -> dict[str, Any]:
    """The features that `datasets` wrote into a Parquet file, by column; empty if it did not write the file.

    `datasets` itself cannot read features of types that only its later versions have.
    """
    written = (pq.read_schema(path).metadata or {}).get(b"huggingface")
    if written is None:
        return {}
    try:
        features = json.loads(written)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        raise UserError(path, "has damaged features of `datasets`", "write it again with to_parquet") from None
    return features or {}


def _read_saved(folder: Path, label: str) -> RawSplit:
    from datasets import Dataset, load_from_disk  # slow to import

    try:
        rows = load_from_disk(str(folder))
        assert isinstance(rows, Dataset)  # as its state.json says
        table = with_canonical_columns(pd.DataFrame(rows.to_pandas()))
    except DAMAGE as error:
        raise UserError(folder, f"not readable ({first_line(error)})", "write it again with save_to_disk") from None
    return RawSplit(str(folder), table.rename(index="row {}".format), names_in(rows.features, label))
