"""Repair of the files that a killed DVC leaves broken.

DVC writes two of its files in place: `dvc.lock`, and `.dvc/tmp/rwlock`, which lists the processes that read and write
outputs. A DVC that is killed while it writes leaves half a file, and every later command ends in an error
(treeverse/dvc#6097). An rwlock can also name a process that has ended and whose id another process now has.
"""

import json
import shutil
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from dvc.config import Config
from dvc.lock import LockError, make_lock
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, SCHEMA
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml
from voluptuous import Invalid

from src.repository.committed import committed
from src.repository.dvc_needs import check_dvc_can_work, dvc_faults_named
from src.system.errors import UserError
from src.system.files import new_file
from src.system.locks import flock_fault, mount_of
from src.system.write_faults import faults_named

LOCK_FILE = "dvc.lock"
MAIN_LOCK = "lock"
CONFLICT = "<<<<<<< "


def mend(root: Path = Path()) -> None:
    """Repair the files that a killed DVC left broken in the repository at `root`, and say so on stderr.

    If another DVC works there, nothing changes. DVC and this function see only processes of this machine.

    Raises:
        UserError: dvc.lock cannot be read while another DVC works, or has a merge conflict. Or DVC's files cannot be
            written or locked, or DVC cannot work here at all.
    """
    check_dvc_can_work(root)
    state = root / ".dvc" / "tmp"
    if not state.is_dir():
        return  # DVC has never run here
    # While this process holds its lock, no DVC that starts now can write to rwlock.
    with faults_named(state / RWLOCK_FILE), _locked(state):
        others = list(_dvc_processes(root.resolve()))
        if not _is_whole(root / LOCK_FILE):
            _restore_lock_file(root, others)
        if not others:
            _remove_rwlock(state / RWLOCK_FILE)


def check_no_dvc_works(root: Path = Path()) -> None:
    """Refuse to change files while DVC runs: its stages would read a mixture of old and new files.

    Raises:
        UserError: DVC runs here; the error names its process. A DVC on another machine is not seen.
    """
    if others := list(_dvc_processes(root.resolve())):
        problem = f"DVC runs here (process {others[0].pid})"
        raise UserError(root.resolve(), problem, "wait for that process or stop it, and run again")


@contextmanager
def _locked(state: Path) -> Generator[None]:
    """Hold the lock of rwlock as DVC's settings say; with locks of hard links, hold DVC's main lock too."""
    with dvc_faults_named():
        by_links = Config(str(state.parent))["core"].get("hardlink_lock", False)
    with ExitStack() as stack:
        for path in [state / MAIN_LOCK, state / RWLOCK_LOCK] if by_links else [state / RWLOCK_LOCK]:
            _remove_flock_file(path) if by_links else _check_flock(path)
            try:
                stack.enter_context(make_lock(str(path), tmp_dir=str(state), hardlink_lock=by_links))
            except LockError:
                problem, allowed = "is held by another DVC", "wait for it or stop it, and run again"
                if by_links:
                    problem += ", or was left by a killed one"
                    allowed += "; if no DVC runs on any machine, delete the file"
                raise UserError(path, problem, allowed) from None
        yield


def _remove_flock_file(path: Path) -> None:
    """Delete a lock file that `flock` left: it has one link, and DVC with hard links would think that it is held."""
    if path.exists() and path.stat().st_nlink == 1:
        path.unlink()


def _check_flock(path: Path) -> None:
    """Refuse a disk without `flock`, where DVC would report that another DVC is running."""
    path.touch()
    if fault := flock_fault(path):
        problem = f"cannot be locked on the disk mounted at {mount_of(path)} ({fault})"
        raise UserError(path, problem, "run `dvc config --local core.hardlink_lock true`, or mount it with flock")


def _dvc_processes(root: Path) -> Iterator[psutil.Process]:
    """The living processes that run DVC in this repository, or in a folder that is hidden from you; no own parents.

    A DVC in a copy below .dvc/tmp, such as a unit's, has its own files and locks, and does not count.
    """
    own = {process.pid for process in psutil.Process().parents()}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command, folder = process.info["cmdline"] or [], process.info["cwd"]
        is_dvc = "dvc" in (Path(part).name for part in command)  # dvc, python .../dvc, python -m dvc
        if is_dvc and process.pid not in own and (not folder or _is_workspace(Path(folder), root)):
            yield process


def _is_workspace(folder: Path, root: Path) -> bool:
    return folder.is_relative_to(root) and not folder.is_relative_to(root / ".dvc" / "tmp")


def _is_whole(path: Path) -> bool:
    """Whether DVC wrote the whole of a dvc.lock. A missing one counts as whole, because DVC needs none."""
    if not path.exists():
        return True
    try:
        text = path.read_text(encoding="utf-8")
        stages = COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, str(path))).get("stages") or {}
    except (YAMLFileCorruptedError, Invalid, UnicodeDecodeError):
        return False
    entries = [entry for stage in stages.values() for part in ("deps", "outs") for entry in stage.get(part, [])]
    return bool(entries) and text.endswith("\n") and all(map(_is_complete, entries))


def _is_complete(entry: dict[str, Any]) -> bool:
    """Whether an entry has its size. DVC accepts an entry that is cut after its hash, and would never complete it."""
    return "size" in entry and ("nfiles" in entry or not str(entry.get("md5")).endswith(".dir"))


def _restore_lock_file(root: Path, others: list[psutil.Process]) -> None:
    """Replace a broken dvc.lock by the committed one, and keep the broken one aside."""
    path, aside = root / LOCK_FILE, root / ".dvc" / "tmp" / f"{LOCK_FILE}.damaged"
    if CONFLICT in path.read_text(encoding="utf-8", errors="replace"):
        allowed = "run `git checkout --ours dvc.lock` (or `--theirs`), then `dvc repro`"
        raise UserError(path, "has a merge conflict", allowed)
    if others:
        problem = f"cannot be read while DVC runs here (process {others[0].pid})"
        raise UserError(path, problem, "wait for that process or stop it, and run again")
    last = committed(path)
    shutil.copy2(path, aside)
    if last is None:
        path.unlink()
    else:
        with new_file(path) as draft:  # a kill here leaves the broken one, which is found again
            draft.write_bytes(last)
    instead = "none is committed" if last is None else "the committed one replaces it"
    print(
        f"warning: {path} was damaged, as if DVC had been killed while writing: {instead}, finished stages come from "
        f"DVC's run cache, and the damaged file is in {aside}",
        file=sys.stderr,
    )


def _remove_rwlock(path: Path) -> None:
    """Delete an rwlock that names processes. Call it only while no DVC runs, so that none of them is alive."""
    if path.exists() and not _is_free(path):
        path.unlink()
        print(f"warning: removed {path}, which a killed DVC had left", file=sys.stderr)


def _is_free(path: Path) -> bool:
    """Whether DVC can read an rwlock, and it names no process."""
    try:
        return not any(SCHEMA(json.loads(path.read_bytes())).values())
    except (ValueError, Invalid):
        return False
