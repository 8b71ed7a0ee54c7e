"""Reading and writing files: a reader sees a whole file or none, and an error names a damaged file in one line.

A draft is written beside its target, because a rename is atomic only within one file system. A killed process leaves
its draft behind; the next writer of the same target removes it. Files and folders get the permissions that the umask
and a setgid bit give them, so a group can go on sharing them.
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

# Functions that read tables import pandas themselves. The stage `settings` runs at every `dvc repro` and needs no
# table; an import of pandas here would double the time that it takes to start.
if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAKE_READABLE = "make it readable for your user"
BEFORE = "-before"  # the ending of the old folder's name while the new one takes its place


@contextmanager
def new_folder(target: Path) -> Generator[Path]:
    """Yield an empty folder that replaces `target` when the block ends without an error.

    Raises:
        CannotWrite: the disk is full, permission is missing, or something else stands in the way.
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
    """Yield a path whose file replaces `target` when the block ends without an error.

    Raises:
        CannotWrite: the disk is full, permission is missing, or something else stands in the way.
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
    """Write JSON with stable bytes. Refuse NaN and infinity, which DVC cannot read."""
    with new_file(target) as draft:
        draft.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(target: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index. Floats keep every digit, so equal files mean equal results."""
    with new_file(target) as draft:
        table.to_csv(draft, index=False, lineterminator="\n")


def write_parquet(target: Path, table: "pd.DataFrame") -> None:
    """Write a table as Parquet without its index, with checksums that `read_parquet` verifies.

    Floats are split into streams of their bytes, in which logits take a third less room than in dictionaries.
    """
    floats = list(table.select_dtypes("floating"))
    others = [name for name in table if name not in floats]
    encoding: dict[str, Any] = {"column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT"), "use_dictionary": others}
    with new_file(target) as draft:
        table.to_parquet(draft, index=False, compression="zstd", write_page_checksum=True, **encoding)


def read_json(source: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing or damaged. The other readers raise the same.
    """
    with _damage_named(source):
        return json.loads(source.read_text(encoding="utf-8"))


def read_csv(source: Path, text: Iterable[str] = ()) -> "pd.DataFrame":
    """Read a CSV file that `write_csv` wrote.

    Args:
        text: the columns that stay text as written, since a name can be `null` or `007`. The others hold numbers.
    """
    import pandas as pd

    with _damage_named(source):
        return pd.read_csv(source, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])


def read_csv_texts(source: Path) -> "pd.DataFrame":
    """Read a CSV file with all values as text, so that numbers keep the digits in the file."""
    import pandas as pd

    with _damage_named(source):
        return pd.read_csv(source, dtype=str, keep_default_na=False)


def read_parquet(source: Path) -> "pd.DataFrame":
    """Read a Parquet file that `write_parquet` wrote, and verify it.

    Checksums cover its pages. The names of its columns and its number of rows are stored twice, and compared.
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
        return load(source.read_bytes())  # given a path, safetensors reports an unreadable file as missing


def user_path(path: str, allowed: str = "write the path in full, or set HOME to a folder") -> Path:
    """Resolve a path that a user wrote: ~ is a home folder, and a relative path begins at the repository's root.

    In a copy of the repository below .dvc, where units and queued experiments run, it begins at the original's root.

    Raises:
        UserError: the home folder does not exist.
    """
    try:
        return repository_root() / Path(path).expanduser()
    except RuntimeError:
        raise UserError(path, "there is no such home folder", allowed) from None


def repository_root() -> Path:
    """The root of the repository: the working folder, or in a copy below .dvc the folder that it was copied from."""
    copied_from = [folder.parent for folder in Path.cwd().parents if folder.name == ".dvc"]
    return copied_from[-1] if copied_from else Path()


def is_file(path: Path) -> bool:
    """Whether the file exists; False also for a name that no file can have, such as one too long.

    Raises:
        UserError: its folder cannot be read.
    """
    try:
        return path.is_file()
    except PermissionError:
        raise UserError(path, "not readable (Permission denied)", MAKE_READABLE) from None
    except OSError:
        return False


def check_readable(path: Path) -> None:
    """Check that a file can be read, before a library reports it as missing, as safetensors does.

    Raises:
        UserError: you have no permission to read it.
    """
    try:
        path.open("rb").close()
    except PermissionError:
        raise UserError(path, "not readable (Permission denied)", MAKE_READABLE) from None
    except OSError:
        return  # the library reports every other fault


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_back(target: Path) -> None:
    """Give a folder its name back if a process was killed between the two renames of `new_folder`.

    Raises:
        CannotWrite: permission is missing.
    """
    with faults_named(target):
        before = next(target.parent.glob(f".{target.name}.draft-*{BEFORE}"), None)
        if before is not None and not target.exists():
            before.replace(target)


def _draft_of(target: Path) -> Path:
    """The path of a draft. Drafts of killed processes are removed, because DVC would take them for results."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for draft in target.parent.glob(f".{target.name}.draft-*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
    return target.with_name(f".{target.name}.draft-{os.getpid()}")


def _check_replaceable(target: Path) -> None:
    """Refuse before any work: in a folder of another user, only some of the files may be removable."""
    if target.is_symlink() or target.is_file():
        raise CannotWrite(target, "is not a folder", "delete it; to use another disk, link a folder above it")
    for folder in filter(Path.is_dir, (target, *target.rglob("*"))):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _share_files(folder: Path) -> None:
    """Give the umask's permissions to files that a library made for their owner alone, as safetensors does."""
    rights = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.stat().st_mode & 0o077:
            path.chmod(rights)


def _put_in_place(draft: Path, target: Path) -> None:
    """Replace the old folder by the draft; if the rename fails, put the old folder back."""
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
    """Raise a `UserError` that names the file. A damaged file can break its reader in many ways."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(source, "not found", "run `dvc repro`") from None
    except PermissionError:
        raise UserError(source, "not readable (Permission denied)", MAKE_READABLE) from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, SafetensorError) as error:
        allowed = "delete it and run `dvc repro`"
        raise UserError(source, f"damaged or of another format ({first_line(error)})", allowed) from None
