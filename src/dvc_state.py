"""What a DVC that was killed can leave broken, and how the next one gets past it.

DVC writes two of its files in place: `dvc.lock`, and `.dvc/tmp/rwlock`, which says who reads and writes what. Killed at
the wrong moment it leaves half a file, and every later command ends in an error (treeverse/dvc#6097). An rwlock can
also name a process that is long gone and whose number another one has taken.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from dvc.lock import make_lock
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml
from voluptuous import Invalid

from src.errors import UserError

LOCK_FILE = "dvc.lock"
CONFLICT = "<<<<<<< "


def mend(root: Path = Path()) -> None:
    """Put in order what a killed DVC left in the repository at `root`, and say so on stderr.

    While another DVC works there nothing is touched. DVC and this function know of those on this machine only.

    Raises:
        UserError: dvc.lock cannot be read and another DVC is at work, or it holds a merge conflict.
    """
    state = root / ".dvc" / "tmp"
    if not state.is_dir():
        return  # DVC has never run here
    # Under this lock no DVC that starts meanwhile can have written to rwlock unseen.
    with make_lock(str(state / RWLOCK_LOCK), tmp_dir=str(state)):
        others = list(_dvc_processes(root.resolve()))
        if not _is_readable(root / LOCK_FILE):
            _restore_lock_file(root, others)
        if not others:
            _remove_rwlock(state / RWLOCK_FILE)


def _dvc_processes(root: Path) -> Iterator[psutil.Process]:
    """The living processes that run DVC in this repository, this one's parents left out."""
    own = {process.pid for process in psutil.Process().parents()}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command, folder = process.info["cmdline"] or [], process.info["cwd"]
        is_dvc = "dvc" in (Path(part).name for part in command[:4])  # dvc, python .../dvc, python -m dvc
        if is_dvc and folder and Path(folder).is_relative_to(root) and process.pid not in own:
            yield process


def _is_readable(path: Path) -> bool:
    """Whether DVC can read a dvc.lock; it can do without one."""
    if not path.exists():
        return True
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(path.read_text(encoding="utf-8"), str(path)))
    except (YAMLFileCorruptedError, Invalid, UnicodeDecodeError):
        return False
    return True


def _restore_lock_file(root: Path, others: list[psutil.Process]) -> None:
    """Put the committed dvc.lock in the place of a broken one, which is kept aside."""
    path, aside = root / LOCK_FILE, root / ".dvc" / "tmp" / f"{LOCK_FILE}.damaged"
    if CONFLICT in path.read_text(encoding="utf-8", errors="replace"):
        allowed = "`git checkout --ours dvc.lock` or `--theirs`, then `dvc repro`"
        raise UserError(path, "holds a merge conflict", allowed)
    if others:
        problem = f"cannot be read while DVC is at work here (process {others[0].pid})"
        raise UserError(path, problem, "wait for that process or stop it, and run again")
    path.replace(aside)
    committed = subprocess.run(["git", "show", f"HEAD:./{LOCK_FILE}"], cwd=root, capture_output=True, check=False)
    if committed.returncode == 0:
        path.write_bytes(committed.stdout)
    instead = "the committed one serves" if committed.returncode == 0 else "none is committed"
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
    """Whether an rwlock can be read and names no process."""
    try:
        return not any(dict(json.loads(path.read_bytes())).values())
    except (ValueError, TypeError):
        return False
