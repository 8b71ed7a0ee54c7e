"""Writing files and folders so that a reader sees all of one or nothing."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `target` when the block ends without an error.

    The folder is made beside `target`, because a rename is atomic only within one file system.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        draft.chmod(0o755)
        yield draft
        if target.exists():
            shutil.rmtree(target)
        draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield a path whose file takes the place of `target` when the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def write_json(target: Path, content: Any) -> None:
    """Write JSON with stable bytes; NaN and infinity are refused, because DVC cannot read them."""
    with new_file(target) as draft:
        draft.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(source: Path) -> Any:
    """Read a JSON file."""
    return json.loads(source.read_text(encoding="utf-8"))


def write_csv(target: Path, table: pd.DataFrame) -> None:
    """Write a table without its index; floats keep every digit, so that equal files mean equal results."""
    with new_file(target) as draft:
        table.to_csv(draft, index=False, lineterminator="\n")


def write_parquet(target: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet without its index."""
    with new_file(target) as draft:
        table.to_parquet(draft, index=False, compression="zstd")


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
