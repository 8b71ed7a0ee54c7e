"""Checks of files in the cache of the Hugging Face hub against the hub's hashes.

The hub's libraries do not check a download. Their cache keeps the hub's listing of a commit, with the hash of each
file: SHA-256 of a large file, git's SHA-1 of a small one. Without a listing, the name of a file in the cache is its
ETag, which on the hub is the same hash. Some mirrors send another ETag.
"""

import hashlib
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from src.system.errors import UserError
from src.system.files import MAKE_READABLE, sha256_of


def check_files(kind: str, name: str, revision: str, also: str = "") -> None:
    """Compare each file of a commit in the cache with its hash. A line on stderr names a file without a hash.

    Args:
        kind: models or datasets.
        name: the repository on the hub.
        revision: the commit.
        also: words on what was made from the files, and must be deleted with a damaged one.

    Raises:
        UserError: a file is damaged or cannot be read.
    """
    snapshot, unknown = snapshot_of(kind, name, revision), []
    hashes = _listed_hashes(kind, name, revision)
    for file in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        path = file.resolve()
        listed = hashes.get(file.relative_to(snapshot).as_posix())
        try:
            intact = _has_hash(path, listed or path.name)
        except OSError as error:
            raise UserError(file, f"cannot be read ({error.strerror})", MAKE_READABLE) from None
        if intact is None:
            unknown.append(file.name)
        elif not intact:
            raise UserError(path, f"differs from {file.name} of {name}", f"delete it{also} and run again")
    if unknown:
        _say_once(f"warning: {snapshot}: {len(unknown)} files, such as {unknown[0]}, cannot be checked without a hash")


def snapshot_of(kind: str, name: str, revision: str) -> Path:
    """The folder of a commit's files in the cache."""
    return cache_of(kind, name) / "snapshots" / revision


def keep_listing(kind: str, name: str, revision: str) -> None:
    """Have the hub's library fetch its listing of a commit into the cache, if the hub has one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    show_progress(enable_progress_bars, disable_progress_bars)
    with suppress(Exception):  # many libraries can fail here; `check_files` then names the files without a hash
        snapshot_download(name, repo_type=kind.removesuffix("s"), revision=revision, allow_patterns="README.md")


def cache_of(kind: str, name: str) -> Path:
    """The folder of a repository in the cache; `kind` is models or datasets."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE, "--".join([kind, *name.split("/")]))


def refused_token(error: BaseException | None) -> str | None:
    """Advice if the hub refused the user's token, which public repositories do not need; otherwise None."""
    from huggingface_hub import get_token

    if get_token() is None:
        return None
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None and response.status_code == 401 and "X-Error-Code" not in response.headers:
            variables = [name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if os.environ.get(name)]
            named = f"unset {variables[0]} or renew it" if variables else "log in again with `hf auth login`"
            return f"{named}; public repositories need no token"
        error = error.__cause__ or error.__context__
    return None


def show_progress(enable: Callable[..., object], disable: Callable[..., object]) -> None:
    """Have a library draw its progress bars only on a terminal."""
    (enable if sys.stderr.isatty() else disable)()


def _listed_hashes(kind: str, name: str, revision: str) -> dict[str, str]:
    """The hash of each file by path, from the hub's listing; empty without a listing, or if `name` is not a name."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, HFValidationError

    try:
        files = get_cached_repo_tree(name, repo_type=kind.removesuffix("s"), revision=revision)
    except (CachedRepoTreeNotFoundError, HFValidationError):
        return {}
    return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}


@cache
def _has_hash(path: Path, expected: str) -> bool | None:
    """Whether a file has the expected hash; None if `expected` is no hash of a known kind."""
    if re.fullmatch("[0-9a-f]{64}", expected):
        return sha256_of(path) == expected
    if re.fullmatch("[0-9a-f]{40}", expected):
        content = path.read_bytes()
        # git's hash, or the hash of the content alone, which some mirrors send as ETag
        return expected in {_sha1(b"blob %d\0" % len(content) + content), _sha1(content)}
    return None


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr)
