"""The layouts of a split's files in a local folder, as people and the hub's tools write them.

    <split>.jsonl                                one file, of any ending that `src.data.sources.local` reads
    <split>-00000-of-00002.parquet, ...          shards, as on the hub
    <split>/*.parquet, <split>.parquet/*.parquet a folder of Parquet files
    <split>/state.json, ...                      a folder that `save_to_disk` of `datasets` wrote

Files and shards may also lie in a folder `data`. This module imports no library of tables: `settings` imports it at
every `dvc repro`, and would take twice the time to start.
"""

import re
from pathlib import Path

from src.system.errors import UserError
from src.system.files import MAKE_READABLE, is_file
from src.system.unicode import canonical

TEXTS = (".jsonl", ".json", ".csv", ".tsv")
SUFFIXES = (".parquet", *TEXTS, *(f"{suffix}.gz" for suffix in TEXTS))
SHARD = re.compile(r"(?P<split>.+)-(?P<number>[0-9]+)-of-(?P<count>[0-9]+)(-[0-9a-f]+)?\..+")  # older ones have a hash
SAVED = "state.json"  # what `save_to_disk` writes beside the rows of a split


def forms_of(folder: Path, split: str) -> list[list[Path]]:
    """Every form of a split in a folder: one file, its shards, or the folder that `save_to_disk` wrote.

    Raises:
        UserError: the folder cannot be read.
    """
    return [files for place in (folder, folder / "data") for files in _forms_in(place, canonical(split))]


def entries(folder: Path) -> list[tuple[str, Path]]:
    """The entries of a folder, by names in one Unicode form; empty if the folder does not exist.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        return sorted((canonical(path.name), path) for path in folder.iterdir())
    except PermissionError:
        raise UserError(folder, "not readable (Permission denied)", MAKE_READABLE) from None
    except OSError:
        return []


def _forms_in(place: Path, split: str) -> list[list[Path]]:
    """The forms of a split directly in a folder."""
    there = entries(place)
    files = [[path] for name, path in there if name in {split + suffix for suffix in SUFFIXES} and is_file(path)]
    shards = [path for name, path in there if _is_shard(name, split) and is_file(path)]
    folders = [path for name, path in there if name in (split, f"{split}.parquet") and path.is_dir()]
    # Hidden files are none of the rows: macOS writes a ._0.parquet beside 0.parquet on foreign disks.
    parquet = [sorted(below.glob("[!.]*.parquet")) for below in folders]
    saved = [[below] for below in folders if is_file(below / SAVED)]
    return [*files, *filter(None, [shards, *parquet]), *saved]


def _is_shard(name: str, split: str) -> bool:
    shard = SHARD.fullmatch(name)
    return shard is not None and shard["split"] == split and name.endswith(SUFFIXES)
