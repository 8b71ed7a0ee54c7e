"""What a DVC that was killed can leave broken, and how the next one gets past it.

DVC writes two of its files in place: `dvc.lock`, and `.dvc/tmp/rwlock`, which says who reads and writes what. Killed at
the wrong moment it leaves half a file, and every later command ends in an error (treeverse/dvc#6097). An rwlock can
also name a process that is long gone and whose number another one has taken.
"""

import json
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
from src.system.locks import flock_fault, mount_of
from src.system.write_faults import faults_named

LOCK_FILE = "dvc.lock"
MAIN_LOCK = "lock"
CONFLICT = "<<<<<<< "


def mend(root: Path = Path()) -> None:
    """Put in order what a killed DVC left in the repository at `root`, and say so on stderr.

    While another DVC works there nothing is touched. DVC and this function know of those on this machine only.

    Raises:
        UserError: dvc.lock cannot be read and another DVC is at work, or it holds a merge conflict; or DVC's files
            cannot be written or locked; or DVC cannot work here at all.
    """
    check_dvc_can_work(root)
    state = root / ".dvc" / "tmp"
    if not state.is_dir():
        return  # DVC has never run here
    # Under its lock no DVC that starts meanwhile can have written to rwlock unseen.
    with faults_named(state / RWLOCK_FILE), _locked(state):
        others = list(_dvc_processes(root.resolve()))
        if not _is_whole(root / LOCK_FILE):
            _restore_lock_file(root, others)
        if not others:
            _remove_rwlock(state / RWLOCK_FILE)


def check_no_dvc_works(root: Path = Path()) -> None:
    """Refuse to change files under a DVC that runs: its stages would read some of the old ones and some of the new.

    Raises:
        UserError: names its process. One of another machine is not seen.
    """
    if others := list(_dvc_processes(root.resolve())):
        problem = f"DVC is at work here (process {others[0].pid})"
        raise UserError(root.resolve(), problem, "wait for that process or stop it, and run again")


@contextmanager
def _locked(state: Path) -> Generator[None]:
    """Hold the lock of rwlock as DVC does by its settings, and with hard links its main lock too."""
    with dvc_faults_named():
        by_links = Config(str(state.parent))["core"].get("hardlink_lock", False)
    with ExitStack() as stack:
        for path in [state / MAIN_LOCK, state / RWLOCK_LOCK] if by_links else [state / RWLOCK_LOCK]:
            _remove_flock_file(path) if by_links else _check_flock(path)
            try:
                stack.enter_context(make_lock(str(path), tmp_dir=str(state), hardlink_lock=by_links))
            except LockError:
                unless = ", or left by one that was killed: where none runs, on other machines either, delete it"
                problem = f"is held by another DVC{unless if by_links else ''}"
                raise UserError(path, problem, "wait for it, or stop it, and run again") from None
        yield


def _remove_flock_file(path: Path) -> None:
    """A lock of hard links has two; DVC would take a file that `flock` has locked once for one that is held."""
    if path.exists() and path.stat().st_nlink == 1:
        path.unlink()


def _check_flock(path: Path) -> None:
    """DVC would say of a disk without `flock` that another DVC is at work."""
    path.touch()
    if fault := flock_fault(path):
        problem = f"cannot be locked on the disk mounted at {mount_of(path)} ({fault})"
        raise UserError(path, problem, "`dvc config --local core.hardlink_lock true`, or a mount with flock")


def _dvc_processes(root: Path) -> Iterator[psutil.Process]:
    """The living processes that run DVC in this repository, or where one may not see where; no parents of this one.

    What runs in a copy below .dvc/tmp, such as a part of a study, has files and locks of its own.
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
    """Whether a dvc.lock is one that DVC has written to its end; DVC can do without one."""
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
    """DVC reads an entry that was cut after its hash, and would keep it so for ever."""
    return "size" in entry and ("nfiles" in entry or not str(entry.get("md5")).endswith(".dir"))


def _restore_lock_file(root: Path, others: list[psutil.Process]) -> None:
    """Put the committed dvc.lock in the place of a broken one, which is kept aside."""
    path, aside = root / LOCK_FILE, root / ".dvc" / "tmp" / f"{LOCK_FILE}.damaged"
    if CONFLICT in path.read_text(encoding="utf-8", errors="replace"):
        allowed = "`git checkout --ours dvc.lock` or `--theirs`, then `dvc repro`"
        raise UserError(path, "holds a merge conflict", allowed)
    if others:
        problem = f"cannot be read while DVC is at work here (process {others[0].pid})"
        raise UserError(path, problem, "wait for that process or stop it, and run again")
    last = committed(path)
    path.replace(aside)
    if last is not None:
        path.write_bytes(last)
    instead = "none is committed" if last is None else "the committed one serves"
    print(
        f"warning: {path} was damaged, as by a DVC killed while it wrote it: {instead}, and finished stages come from "
        f"DVC's run cache; what was left of it is in {aside}",
        file=sys.stderr,
    )


def _remove_rwlock(path: Path) -> None:
    """Without a DVC at work whatever it says is left over."""
    if path.exists() and not _is_free(path):
        path.unlink()
        print(f"warning: {path}, left by a DVC that was killed, is removed", file=sys.stderr)


def _is_free(path: Path) -> bool:
    """Whether an rwlock is one that DVC reads, and names no process."""
    try:
        return not any(SCHEMA(json.loads(path.read_bytes())).values())
    except (ValueError, Invalid):
        return False
