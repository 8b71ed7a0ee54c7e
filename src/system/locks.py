"""Locks that processes hold while they live, on disks with `flock` and on those without it.

Network file systems can be mounted so that they have none. DVC then wants its setting `core.hardlink_lock`.
"""

import errno
import fcntl
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from src.system.write_faults import faults_named

MISSING = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


def lock_if_free(path: Path) -> BaseFileLock | None:
    """Lock a file and make its folder; None where a living process holds it.

    Without `flock` a second file, which names the process, is the lock for as long as it is there. Where that process
    is gone from this machine, the next one takes it over.

    Raises:
        CannotWrite: no room, or no right to.
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
    """Why a file that is there cannot be locked, in the system's words; None on a disk with `flock`."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # another process holds it
        return None
    except OSError as error:
        return error.strerror
    return None


def mount_of(path: Path) -> Path:
    """Where the disk of a file is mounted."""
    return next(folder for folder in path.resolve().parents if folder.is_mount())
