"""Reading and writing files: a reader sees all of a file or nothing, and damage is one line that names the file.

A draft is written beside its target, because a rename is atomic only within one file system. A process that is
killed leaves its draft behind; the next writer of the same target removes it.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from src.errors import UserError, first_line

# What reads tables imports pandas itself: `settings` runs at every `dvc repro`, and would start in twice the time.
if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


class CannotWrite(UserError):
    """`target` cannot be written: see the message."""


class DiskFull(CannotWrite):
    """There is no room to write `target`."""

    def __init__(self, target: Path) -> None:
        super().__init__(target, "no space left on its disk", "free some and run again")


@contextmanager
def new_folder(target: Path) -> Generator[Path]:
    """Yield an empty folder that takes the place of `target` when the block ends without an error.

    Raises:
        CannotWrite: no room, no right to, or something else in the way.
    """
    with faults_named(target):
        _remove_drafts(target)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.draft-", dir=target.parent))
        try:
            draft.chmod(0o755)
            yield draft
            if target.exists():
                shutil.rmtree(target)
            draft.replace(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Generator[Path]:
    """Yield a path whose file takes the place of `target` when the block ends without an error.

    Raises:
        CannotWrite: no room, no right to, or something else in the way.
    """
    with faults_named(target):
        _remove_drafts(target)
        draft = target.with_name(f".{target.name}.draft-{os.getpid()}")
        try:
            draft.touch()
            yield draft
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


def write_json(target: Path, content: Any) -> None:
    """Write JSON with stable bytes; NaN and infinity are refused, because DVC cannot read them."""
    with new_file(target) as draft:
        draft.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(target: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index; floats keep every digit, so that equal files mean equal results."""
    with new_file(target) as draft:
        table.to_csv(draft, index=False, lineterminator="\n")


def write_parquet(target: Path, table: "pd.DataFrame") -> None:
    """Write a table as Parquet without its index, with checksums that `read_parquet` verifies.

    Floats are split into streams of their bytes: logits take a third less than as dictionaries.
    """
    floats = list(table.select_dtypes("floating"))
    others = [name for name in table if name not in floats]
    encoding: dict[str, Any] = {"column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT"), "use_dictionary": others}
    with new_file(target) as draft:
        table.to_parquet(draft, index=False, compression="zstd", write_page_checksum=True, **encoding)


def read_json(source: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing or damaged, as for the other readers.
    """
    with _damage_named(source):
        return json.loads(source.read_text(encoding="utf-8"))


def read_csv(source: Path, text: Iterable[str] = ()) -> "pd.DataFrame":
    """Read a CSV file that `write_csv` wrote.

    Args:
        text: the columns of text, kept as written, since a name can be `null` or `007`; the others hold numbers.
    """
    import pandas as pd

    with _damage_named(source):
        return pd.read_csv(source, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])


def read_parquet(source: Path) -> "pd.DataFrame":
    """Read a Parquet file that `write_parquet` wrote, and verify it.

    Checksums cover its pages; the names of its columns and the number of its rows are stored twice.
    """
    import pyarrow.parquet as pq

    with _damage_named(source), pq.ParquetFile(source, page_checksum_verification=True) as file:
        table, about = file.read(), file.metadata
        groups = [about.row_group(number).num_rows for number in range(about.num_row_groups)]
        if about.num_rows != sum(groups):
            raise ValueError("its numbers of rows disagree")
        if table.column_names != [column["name"] for column in table.schema.pandas_metadata["columns"]]:
            raise ValueError("the names of its columns disagree")
        return table.to_pandas()


def read_tensors(source: Path) -> "dict[str, np.ndarray]":
    """Read a safetensors file."""
    from safetensors.numpy import load_file

    with _damage_named(source):
        return load_file(source)


def user_path(path: str, allowed: str = "the path in full, or HOME set to a folder") -> Path:
    """A path as people write it, with ~ for a home folder; without a beginning it is meant from the repository.

    Copies of the repository below .dvc, in which units and queued experiments run, mean what the repository means.

    Raises:
        UserError: there is no such home.
    """
    try:
        copied_from = [folder.parent for folder in Path.cwd().parents if folder.name == ".dvc"]
        return (copied_from[-1] if copied_from else Path()) / Path(path).expanduser()
    except RuntimeError:
        raise UserError(path, "there is no such home folder", allowed) from None


def is_file(path: Path) -> bool:
    """Whether there is a file of that name; False also for what can be no name, such as one too long.

    Raises:
        UserError: its folder may not be looked into.
    """
    try:
        return path.is_file()
    except PermissionError:
        raise UserError(path, "not readable (Permission denied)", "a folder that you may read") from None
    except OSError:
        return False


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_drafts(target: Path) -> None:
    """Drafts of `target` that a killed process left: DVC would take them for results beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for draft in target.parent.glob(f".{target.name}.draft-*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


@contextmanager
def faults_named(
    target: Path, problem: str = "cannot be written", allowed: str = "a place that you may write to"
) -> Generator[None]:
    """Also where the fault is with a folder above or a file of a draft, `target` is what the user knows of.

    Raises:
        CannotWrite: no room, no right to, or something else in the way.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFull) or _found_no_space(error):
            raise DiskFull(target) from None
        if isinstance(error, CannotWrite):
            raise CannotWrite(target, error.problem, error.allowed) from None
        if isinstance(error, OSError) and error.filename is not None and _lies_by(Path(error.filename), target):
            raise CannotWrite(target, f"{problem} ({error.strerror})", allowed) from None
        raise


def _lies_by(named: Path, target: Path) -> bool:
    """Whether a file that an error names is at or below the target's folder, or one of the folders above it."""
    return named.is_relative_to(target.parent) or target.is_relative_to(named)


def _found_no_space(error: BaseException | None) -> bool:
    """torch raises an error of its own over the one that says it; safetensors, in Rust, says it in words only."""
    if error is None:
        return False
    said = getattr(error, "errno", None) in NO_SPACE or f"os error {errno.ENOSPC}" in str(error)
    return said or _found_no_space(error.__context__)


@contextmanager
def _damage_named(source: Path) -> Generator[None]:
    """A damaged file can break its reader anywhere, hence the many kinds of error."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(source, "not found", "run `dvc repro`") from None
    except PermissionError:
        raise UserError(source, "not readable (Permission denied)", "a file that you may read") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, SafetensorError) as error:
        allowed = "delete it and run `dvc repro`"
        raise UserError(source, f"damaged or of another format ({first_line(error)})", allowed) from None
