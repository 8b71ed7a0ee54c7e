"""Files of the Hugging Face hub in its own cache: whether they are what the hub has.

The hub's libraries take what they downloaded for what they asked for. In their cache a file's name is its hash on the
hub: SHA-256 of a large file, git's SHA-1 of a small one.
"""

import hashlib
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from src.errors import UserError
from src.files import sha256_of


def check_files(snapshot: Path, name: str, also: str = "") -> None:
    """Compare each file of a snapshot, a folder of links into the cache, with its hash.

    Args:
        name: of the repository, for the error.
        also: what was made of the files, and must be deleted with a damaged one.

    Raises:
        UserError: one is damaged.
    """
    for link in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        try:
            intact = _is_as_on_the_hub(path := link.resolve())
        except OSError as error:
            raise UserError(link, f"cannot be read ({error.strerror})", "a cache that you may read") from None
        if not intact:
            raise UserError(path, f"is not the {link.name} of {name}", f"delete it{also} and run again")


def cache_of(kind: str, name: str) -> Path:
    """Where the cache keeps a repository; `kind` is models or datasets."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE, "--".join([kind, *name.split("/")]))


def show_progress(enable: Callable[..., object], disable: Callable[..., object]) -> None:
    """Have a library draw its progress bars where there is a terminal, and there alone."""
    (enable if sys.stderr.isatty() else disable)()


@cache
def _is_as_on_the_hub(path: Path) -> bool:
    """Whether a file has the hash that is its name; True where its name is no hash."""
    if re.fullmatch("[0-9a-f]{64}", path.name):
        return sha256_of(path) == path.name
    if re.fullmatch("[0-9a-f]{40}", path.name):
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == path.name
    return True
