"""Fingerprints of files that params.yaml names and that neither DVC nor git follows.

A large file would take minutes to read at every `dvc repro`. So the repository's `.dvc/tmp` keeps the hash of each
file. A file is read again only if its size, its times or its place on the disk change.
"""

import hashlib
import json
import os
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import TypeAdapter

from src.system.errors import UserError
from src.system.files import MAKE_READABLE, new_file, sha256_of, user_path

KEPT_FILE = ".dvc/tmp/file-hashes.json"
SETTLED = 2.0  # seconds: a file that changed more recently may change again and keep the same times
Stamp = list[int]  # size, inode, times
KEPT = TypeAdapter(dict[str, tuple[Stamp, str]])


class FileHashes:
    """The SHA-256 of files by path, with the size, place and times that each file had when it was read."""

    def __init__(self, known: dict[str, tuple[Stamp, str]]) -> None:
        self.known = known

    def fingerprint(self, place: Path, files: Iterable[Path]) -> str:
        """The SHA-256 of the names and contents of files: of `place` itself, or of files below this folder.

        Raises:
            UserError: one of them cannot be read.
        """
        digest = hashlib.sha256()
        for path in sorted(files):
            name = path.name if path == place else path.relative_to(place).as_posix()
            digest.update(f"{name}\0{self._sha256(path)}\0".encode())
        return digest.hexdigest()

    def _sha256(self, path: Path) -> str:
        key = str(path.resolve())
        try:
            before = path.stat()
            stamp = [before.st_size, before.st_ino, before.st_mtime_ns, before.st_ctime_ns]
            if key in self.known and self.known[key][0] == stamp:
                return self.known[key][1]
            found = sha256_of(path)
        except OSError as error:
            raise UserError(path, f"not readable ({error.strerror})", MAKE_READABLE) from None
        if time.time() - max(before.st_mtime, before.st_ctime) > SETTLED:
            self.known[key] = stamp, found
        return found


def _known(place: Path) -> dict[str, tuple[Stamp, str]]:
    """The stored hashes; empty if the file is missing, damaged or has another form."""
    try:
        return KEPT.validate_json(place.read_bytes())
    except (OSError, ValueError):  # pydantic raises a ValueError
        return {}


@contextmanager
def kept_hashes() -> Generator[FileHashes]:
    """Yield the stored hashes of files, and store the hashes that the block adds. Faults of the store are ignored."""
    place = user_path(KEPT_FILE)
    known = _known(place)
    before = dict(known)
    yield FileHashes(known)
    if known != before and os.access(place.parent, os.W_OK):
        with suppress(OSError, UserError), new_file(place) as draft:  # another process may write it too
            draft.write_text(json.dumps(known), encoding="utf-8")
