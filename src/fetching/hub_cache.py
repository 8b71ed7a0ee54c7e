"""Files of the Hugging Face hub in its own cache: whether they are what the hub has.

The hub's libraries take what they downloaded for what they asked for. Their cache keeps the hub's listing of a commit,
with the hash of each file: SHA-256 of a large file, git's SHA-1 of a small one. Where there is no listing, the name of
a file in the cache is the ETag that came with it, on the hub the same hash. Some mirrors send another ETag.
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
from src.system.files import sha256_of


def check_files(kind: str, name: str, revision: str, also: str = "") -> None:
    """Compare each file that the cache has of a commit with its hash; a line on stderr names what has none.

    Args:
        kind: models or datasets.
        also: what was made of the files, and must be deleted with a damaged one.

    Raises:
        UserError: one is damaged.
    """
    snapshot, unknown = snapshot_of(kind, name, revision), []
    hashes = _listed_hashes(kind, name, revision)
    for file in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        path = file.resolve()
        listed = hashes.get(file.relative_to(snapshot).as_posix())
        try:
            intact = _has_hash(path, listed or path.name)
        except OSError as error:
            raise UserError(file, f"cannot be read ({error.strerror})", "a cache that you may read") from None
        if intact is None:
            unknown.append(file.name)
        elif not intact:
            raise UserError(path, f"is not the {file.name} of {name}", f"delete it{also} and run again")
    if unknown:
        _say_once(f"warning: {snapshot}: {len(unknown)} files, such as {unknown[0]}, have no hash to compare them with")


def snapshot_of(kind: str, name: str, revision: str) -> Path:
    """Where the cache has the files of a commit."""
    return cache_of(kind, name) / "snapshots" / revision


def keep_listing(kind: str, name: str, revision: str) -> None:
    """Have the hub's library fetch its listing of a commit into the cache, if the hub has one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    show_progress(enable_progress_bars, disable_progress_bars)
    with suppress(Exception):  # of many libraries; `check_files` tells what it has no hash for
        snapshot_download(name, repo_type=kind.removesuffix("s"), revision=revision, allow_patterns="README.md")


def cache_of(kind: str, name: str) -> Path:
    """Where the cache keeps a repository; `kind` is models or datasets."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE, "--".join([kind, *name.split("/")]))


def refused_token(error: BaseException | None) -> str | None:
    """What to do where the hub refused the user's token, of which public repositories need none; else None."""
    from huggingface_hub import get_token

    if get_token() is None:
        return None
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None and response.status_code == 401 and "X-Error-Code" not in response.headers:
            variables = [name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if os.environ.get(name)]
            named = f"unset {variables[0]} or renew it" if variables else "log in again with `hf auth login`"
            return f"{named}; what is public needs no token"
        error = error.__cause__ or error.__context__
    return None


def show_progress(enable: Callable[..., object], disable: Callable[..., object]) -> None:
    """Have a library draw its progress bars where there is a terminal, and there alone."""
    (enable if sys.stderr.isatty() else disable)()


def _listed_hashes(kind: str, name: str, revision: str) -> dict[str, str]:
    """The hash of each file, by path, as the hub listed them; {} where the cache has no listing, or this is no name."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, HFValidationError

    try:
        files = get_cached_repo_tree(name, repo_type=kind.removesuffix("s"), revision=revision)
    except (CachedRepoTreeNotFoundError, HFValidationError):
        return {}
    return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}


@cache
def _has_hash(path: Path, expected: str) -> bool | None:
    """Whether a file has a hash; None where this is no hash that we know."""
    if re.fullmatch("[0-9a-f]{64}", expected):
        return sha256_of(path) == expected
    if re.fullmatch("[0-9a-f]{40}", expected):
        content = path.read_bytes()
        # git's, or of the content alone, which is the ETag of some mirrors
        return expected in {_sha1(b"blob %d\0" % len(content) + content), _sha1(content)}
    return None


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr)
