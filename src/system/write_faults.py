"""Errors of writing, in one line that names the file or folder that the user knows."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from src.system.errors import UserError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


class CannotWrite(UserError):
    """`target` cannot be written, for the reason in the message."""


class DiskFull(CannotWrite):
    """There is no room to write `target`."""

    def __init__(self, target: Path) -> None:
        super().__init__(target, "no space left on its disk", "free some space and run again")


@contextmanager
def faults_named(
    target: Path,
    problem: str = "cannot be written",
    allowed: str = "make it writable for your user, or use another place",
) -> Generator[None]:
    """Report every failure under `target`, the path that the user knows, even if a draft or a folder above failed.

    Raises:
        CannotWrite: the disk is full, permission is missing, or something else stands in the way.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFull) or _found_no_space(error):
            raise DiskFull(target) from None
        if isinstance(error, CannotWrite):
            raise CannotWrite(target, error.problem, error.allowed) from None
        if isinstance(error, OSError) and error.filename is not None and _lies_by(Path(error.filename), target):
            owner = _other_owner(error)
            raise CannotWrite(target, f"{problem} ({error.strerror}{owner})", allowed) from None
        raise


def _other_owner(error: OSError) -> str:
    """Words that name the owner of the file in an error, or of its folder; empty if that is you."""
    named = [Path(name) for name in (error.filename, error.filename2) if name is not None]
    there = next(path for path in (*named, *named[0].parents) if os.access(path, os.F_OK))
    if error.errno not in (errno.EACCES, errno.EPERM) or there.stat().st_uid == os.geteuid():
        return ""
    try:
        return f": {there} belongs to {there.owner()}"
    except KeyError:  # a user without a name here
        return f": {there} belongs to user {there.stat().st_uid}"


def _lies_by(named: Path, target: Path) -> bool:
    """Whether a file in an error is at or below the target's folder, or is a folder above the target."""
    return named.is_relative_to(target.parent) or target.is_relative_to(named)


def _found_no_space(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that the disk is full.

    torch raises its own error over the system's. safetensors, written in Rust, has the number only in its message.
    """
    if error is None:
        return False
    said = getattr(error, "errno", None) in NO_SPACE or f"os error {errno.ENOSPC}" in str(error)
    return said or _found_no_space(error.__context__)
