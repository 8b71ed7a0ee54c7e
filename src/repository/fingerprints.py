"""Fingerprints of files that params.yaml names and that neither DVC nor git follows.

A large file would take minutes to read at every `dvc repro`. So the hash of each file is kept in the repository's
`.dvc/tmp`, and the file is read again when its size, its times or its place on the disk change.
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
from src.system.files import new_file, sha256_of, user_path

KEPT_FILE = ".dvc/tmp/file-hashes.json"
SETTLED = 2.0  # seconds: a file that changed later than this ago may change again without a sign in its times
Stamp = list[int]  # size, inode, times
KEPT = TypeAdapter(dict[str, tuple[Stamp, str]])


class FileHashes:
    """The SHA-256 of files by their paths, with what the files looked like when they were read."""

    def __init__(self, known: dict[str, tuple[Stamp, str]]) -> None:
        self.known = known

    def fingerprint(self, files: Iterable[Path]) -> str:
        """The SHA-256 of the names and contents of some files of one folder.

        Raises:
            UserError: one of them cannot be read.
        """
        digest = hashlib.sha256()
        for path in sorted(files):
            digest.update(f"{path.name}\0{self._sha256(path)}\0".encode())
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
            raise UserError(path, f"not readable ({error.strerror})", "a file that you may read") from None
        if time.time() - max(before.st_mtime, before.st_ctime) > SETTLED:
            self.known[key] = stamp, found
        return found


def _known(place: Path) -> dict[str, tuple[Stamp, str]]:
    """What is kept; nothing where it is missing, damaged or of another form."""
    try:
        return KEPT.validate_json(place.read_bytes())
    except (OSError, ValueError):  # pydantic's errors are of the second kind
        return {}


@contextmanager
def kept_hashes() -> Generator[FileHashes]:
    """The hashes of files as they were kept, and keep them with what the block adds; both as far as possible."""
    place = user_path(KEPT_FILE)
    known = _known(place)
    before = dict(known)
    yield FileHashes(known)
    if known != before and os.access(place.parent, os.W_OK):
        with suppress(OSError, UserError), new_file(place) as draft:  # another process may be at it
            draft.write_text(json.dumps(known), encoding="utf-8")
