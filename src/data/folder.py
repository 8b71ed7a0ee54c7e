"""Splits in a local folder, in the layouts that people and the hub's tools write.

    <split>.jsonl                                one file, of any ending that `src.data.local` reads
    <split>-00000-of-00002.parquet, ...          shards, as the hub has them
    <split>/*.parquet, <split>.parquet/*.parquet a folder of Parquet files
    <split>/state.json, ...                      a folder that `save_to_disk` of `datasets` wrote

Files and shards may also lie in a folder `data`.
"""

import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from src.data.dataset import Columns, Place, RawSplit, with_canonical_columns
from src.data.labels import names_in, typed
from src.data.local import DAMAGE, ENDINGS, SUFFIXES, has_types, read_table
from src.errors import UserError, first_line
from src.files import is_file
from src.params.types import canonical

SHARD = re.compile(r"(?P<split>.+)-[0-9]+-of-(?P<count>[0-9]+)(-[0-9a-f]+)?\..+")  # older ones have a hash
SAVED = "state.json"  # what `save_to_disk` writes beside the rows of a split


def read_folder(place: Place, columns: Columns, split: str) -> RawSplit:
    """A split of a local folder.

    Raises:
        UserError: it is not there, is there twice or in part, or cannot be read.
    """
    folder = Path(place.name)
    files = _find(folder, split)
    if files[0].is_dir():
        return _read_saved(files[0], columns.label)
    tables = [_read_file(path, columns) for path in files]
    names = _label_names(files, columns.label)
    if len(files) == 1:
        return RawSplit(str(files[0]), tables[0], names)
    placed = [table.rename(index=f"{path.name}, {{}}".format) for path, table in zip(files, tables, strict=True)]
    return RawSplit(str(files[0].parent), pd.concat(placed), names)


def _find(folder: Path, split: str) -> list[Path]:
    """The one file of a split, its shards, or the folder that `save_to_disk` wrote."""
    found = [files for place in (folder, folder / "data") for files in _found_in(place, canonical(split))]
    if not found:
        raise _not_found(folder, split)
    if len(found) > 1:
        names = " and ".join(str(files[0].relative_to(folder)) for files in found[:2])
        raise UserError(folder, f"split '{split}' is there twice, as {names}", "keep one, and move the other away")
    _check_whole(folder, split, found[0])
    return found[0]


def _found_in(place: Path, split: str) -> list[list[Path]]:
    """Every form in which a split lies directly in a folder."""
    entries = _entries(place)
    files = [[path] for name, path in entries if name in {split + suffix for suffix in SUFFIXES} and is_file(path)]
    shards = [path for name, path in entries if _is_shard(name, split) and is_file(path)]
    folders = [path for name, path in entries if name in (split, f"{split}.parquet") and path.is_dir()]
    parquet = [sorted(below.glob("*.parquet")) for below in folders]
    saved = [[below] for below in folders if is_file(below / SAVED)]
    return [*files, *filter(None, [shards, *parquet]), *saved]


def _entries(folder: Path) -> list[tuple[str, Path]]:
    """What lies in a folder, by names in one Unicode form; nothing where there is no such folder."""
    try:
        return sorted((canonical(path.name), path) for path in folder.iterdir())
    except PermissionError:
        raise UserError(folder, "not readable (Permission denied)", "a folder that you may read") from None
    except OSError:
        return []


def _is_shard(name: str, split: str) -> bool:
    shard = SHARD.fullmatch(name)
    return shard is not None and shard["split"] == split and name.endswith(SUFFIXES)


def _check_whole(folder: Path, split: str, files: list[Path]) -> None:
    """What was fetched in part has fewer shards than their names say; two sets have more."""
    counts = [int(shard["count"]) for shard in map(SHARD.fullmatch, (path.name for path in files)) if shard]
    if counts and set(counts) != {len(files)}:
        problem = f"has {len(files)} files of split '{split}', of which {files[0].name} is one of {counts[0]}"
        raise UserError(folder, problem, "all files of one set, and no others")


def _not_found(folder: Path, split: str) -> UserError:
    if is_file(folder / SAVED):
        allowed = f"set the task's path to the folder above, and its split to {folder.absolute().name}"
        return UserError(folder, "is itself a split that save_to_disk wrote", allowed)
    near = [path.name for name, path in _entries(folder) if name.startswith(canonical(split))]
    found = f", only {near[0]}" if near else ""
    return UserError(folder / split, f"no such file{found}", f"{ENDINGS}; docs/data.md shows other layouts")


def _read_file(path: Path, columns: Columns) -> pd.DataFrame:
    table = read_table(path, [*columns.text, columns.label], columns.quoting)
    if not has_types(path) and columns.label in table:
        table[columns.label] = typed(table[columns.label], columns.labels)
    return table


def _label_names(files: list[Path], label: str) -> list[str]:
    """What Parquet files written by `datasets` call their labels; empty for other files."""
    names: list[str] = []
    for path in files:
        if path.suffix == ".parquet" and b"huggingface" in ((schema := pq.read_schema(path)).metadata or {}):
            from datasets import Features  # slow to import

            names = names or names_in(Features.from_arrow_schema(schema), label)
    return names


def _read_saved(folder: Path, label: str) -> RawSplit:
    from datasets import Dataset, load_from_disk  # slow to import

    try:
        rows = load_from_disk(str(folder))
        assert isinstance(rows, Dataset)  # as its state.json says
        table = with_canonical_columns(pd.DataFrame(rows.to_pandas()))
    except DAMAGE as error:
        raise UserError(folder, f"not readable ({first_line(error)})", "write it anew with save_to_disk") from None
    return RawSplit(str(folder), table.rename(index="row {}".format), names_in(rows.features, label))
