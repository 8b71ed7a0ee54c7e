"""Reading and writing files: a reader sees all of a file or nothing, and damage is one line that names the file.

A draft is written beside its target, because a rename is atomic only within one file system. A process that is
killed leaves its draft behind; the next writer of the same target removes it. What a group shares stays so: folders and
files get the rights that the umask and a setgid bit give them.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from src.system.errors import UserError, first_line
from src.system.write_faults import CannotWrite, faults_named

# What reads tables imports pandas itself: `settings` runs at every `dvc repro`, and would start in twice the time.
if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BEFORE = "-before"  # at the end of the name of what was there, while its successor takes its place


@contextmanager
def new_folder(target: Path) -> Generator[Path]:
    """Yield an empty folder that takes the place of `target` when the block ends without an error.

    Raises:
        CannotWrite: no room, no right to, or something else in the way.
    """
    put_back(target)
    with faults_named(target):
        draft = _draft_of(target)
        draft.mkdir()
        try:
            _check_replaceable(target)
            yield draft
            _share_files(draft)
            _put_in_place(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Generator[Path]:
    """Yield a path whose file takes the place of `target` when the block ends without an error.

    Raises:
        CannotWrite: no room, no right to, or something else in the way.
    """
    with faults_named(target):
        draft = _draft_of(target)
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


def read_csv_texts(source: Path) -> "pd.DataFrame":
    """Read a CSV file with all its values as they are written: numbers would not show the digits that stand there."""
    import pandas as pd

    with _damage_named(source):
        return pd.read_csv(source, dtype=str, keep_default_na=False)


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
    from safetensors.numpy import load

    with _damage_named(source):
        return load(source.read_bytes())  # by name, safetensors takes a file that it may not read for none


def user_path(path: str, allowed: str = "the path in full, or HOME set to a folder") -> Path:
    """A path as people write it, with ~ for a home folder; without a beginning it is meant from the repository.

    Copies of the repository below .dvc, in which units and queued experiments run, mean what the repository means.

    Raises:
        UserError: there is no such home.
    """
    try:
        return repository_root() / Path(path).expanduser()
    except RuntimeError:
        raise UserError(path, "there is no such home folder", allowed) from None


def repository_root() -> Path:
    """The working folder; in copies of the repository below .dvc, the repository."""
    copied_from = [folder.parent for folder in Path.cwd().parents if folder.name == ".dvc"]
    return copied_from[-1] if copied_from else Path()


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


def check_readable(path: Path) -> None:
    """For libraries that say of a file which may not be read that there is none, as safetensors does.

    Raises:
        UserError: it may not be read.
    """
    try:
        path.open("rb").close()
    except PermissionError:
        raise UserError(path, "not readable (Permission denied)", "a file that you may read") from None
    except OSError:
        return  # what else is wrong the library says


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_back(target: Path) -> None:
    """Give a folder its name back where a process was killed between the two renames of `new_folder`.

    Raises:
        CannotWrite: no right to.
    """
    with faults_named(target):
        before = next(target.parent.glob(f".{target.name}.draft-*{BEFORE}"), None)
        if before is not None and not target.exists():
            before.replace(target)


def _draft_of(target: Path) -> Path:
    """The name of a draft. Those that a killed process left are removed: DVC would take them for results."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for draft in target.parent.glob(f".{target.name}.draft-*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
    return target.with_name(f".{target.name}.draft-{os.getpid()}")


def _check_replaceable(target: Path) -> None:
    """Before any work: a folder of another user may let go of some of its files and not of others."""
    if target.is_symlink() or target.is_file():
        raise CannotWrite(target, "is no folder", "delete it; a link may stand in the place of a folder above it")
    for folder in filter(Path.is_dir, (target, *target.rglob("*"))):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _share_files(folder: Path) -> None:
    """Give the rights that the umask leaves to what a library made for its owner alone, as safetensors does."""
    rights = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.stat().st_mode & 0o077:
            path.chmod(rights)


def _put_in_place(draft: Path, target: Path) -> None:
    """What was there goes when its successor has its place, and keeps it where that fails."""
    before = draft.with_name(f"{draft.name}{BEFORE}")
    if target.exists():
        target.replace(before)
    try:
        draft.replace(target)
    except OSError:
        if before.exists():
            before.replace(target)
        raise
    shutil.rmtree(before, ignore_errors=True)


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
