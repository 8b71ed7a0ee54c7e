"""Locks that processes hold while they live, on disks with and without `flock`.

Network file systems can be mounted without `flock`. DVC then needs its setting `core.hardlink_lock`.
"""

import errno
import fcntl
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from src.system.write_faults import faults_named

MISSING = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def lock_if_free(path: Path) -> BaseFileLock | None:
    """Make the folder of a file and lock the file; None if a living process holds it.

    Without `flock`, the lock is a second file that names the process. If that process has ended on this machine, the
    next one takes the lock over.

    Raises:
        CannotWrite: the disk is full, or permission is missing.
    """
    with faults_named(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _acquired(FileLock(path, fallback_to_soft=False))
        except OSError as error:
            if error.errno not in MISSING:
                raise
        return _acquired(SoftFileLock(path.with_name(f"{path.name}.held")))


def _acquired(lock: BaseFileLock) -> BaseFileLock | None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def flock_fault(path: Path) -> str | None:
    """The system's reason why an existing file cannot be locked; None on a disk with `flock`."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # another process holds it
        return None
    except OSError as error:
        return error.strerror
    return None


def mount_of(path: Path) -> Path:
    """The folder at which the disk of a file is mounted."""
    return next(folder for folder in path.resolve().parents if folder.is_mount())
