"""Where the files of a split lie in a local folder: the layouts that people and the hub's tools write.

    <split>.jsonl                                one file, of any ending that `src.data.sources.local` reads
    <split>-00000-of-00002.parquet, ...          shards, as the hub has them
    <split>/*.parquet, <split>.parquet/*.parquet a folder of Parquet files
    <split>/state.json, ...                      a folder that `save_to_disk` of `datasets` wrote

Files and shards may also lie in a folder `data`. This module imports no library of tables: `settings` needs it at every
`dvc repro`, and would start in twice the time.
"""

import re
from pathlib import Path

from src.system.errors import UserError
from src.system.files import is_file
from src.system.unicode import canonical

TEXTS = (".jsonl", ".json", ".csv", ".tsv")
SUFFIXES = (".parquet", *TEXTS, *(f"{suffix}.gz" for suffix in TEXTS))
SHARD = re.compile(r"(?P<split>.+)-[0-9]+-of-(?P<count>[0-9]+)(-[0-9a-f]+)?\..+")  # older ones have a hash
SAVED = "state.json"  # what `save_to_disk` writes beside the rows of a split


def forms_of(folder: Path, split: str) -> list[list[Path]]:
    """Every form in which a split is there: one file, its shards, or the one folder that `save_to_disk` wrote.

    Raises:
        UserError: the folder may not be read.
    """
    return [files for place in (folder, folder / "data") for files in _forms_in(place, canonical(split))]


def entries(folder: Path) -> list[tuple[str, Path]]:
    """What lies in a folder, by names in one Unicode form; nothing where there is no such folder.

    Raises:
        UserError: it may not be read.
    """
    try:
        return sorted((canonical(path.name), path) for path in folder.iterdir())
    except PermissionError:
        raise UserError(folder, "not readable (Permission denied)", "a folder that you may read") from None
    except OSError:
        return []


def _forms_in(place: Path, split: str) -> list[list[Path]]:
    """The forms that lie directly in a folder."""
    there = entries(place)
    files = [[path] for name, path in there if name in {split + suffix for suffix in SUFFIXES} and is_file(path)]
    shards = [path for name, path in there if _is_shard(name, split) and is_file(path)]
    folders = [path for name, path in there if name in (split, f"{split}.parquet") and path.is_dir()]
    parquet = [sorted(below.glob("*.parquet")) for below in folders]
    saved = [[below] for below in folders if is_file(below / SAVED)]
    return [*files, *filter(None, [shards, *parquet]), *saved]


def _is_shard(name: str, split: str) -> bool:
    shard = SHARD.fullmatch(name)
    return shard is not None and shard["split"] == split and name.endswith(SUFFIXES)
