"""Disks without `flock`, and DVC's setting for them: real DVC, real processes, and a kernel that refuses the call."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.repository.dvc_state import mend
from tests.conftest import REPOSITORY
from tests.support.repository import run

KIND = "locks"
WITHOUT_FLOCK = REPOSITORY / "tests" / "support" / "without_flock.py"
SETTING = "[core]\n    hardlink_lock = true\n"
MEND = "from src.repository.dvc_state import mend; from src.system.errors import stage; stage(mend)()"
TRY = "import sys; from pathlib import Path; from src.system.locks import lock_if_free; "
TRY += "lock = lock_if_free(Path('units/lock'))"
HELD = f"{TRY}; print(lock is not None, flush=True); sys.stdin.read()"
ENDED = f"{TRY}; import shutil; shutil.rmtree('units'); lock.release(); print(lock is not None)"
KILLED = "import os, sys; from dvc.lock import make_lock; lock = make_lock(sys.argv[1], '.dvc/tmp', hardlink_lock=True)"
KILLED += "; lock.lock(); os.kill(os.getpid(), 9)"


@pytest.fixture(scope="module")
def dvc_folder(tmp_path_factory) -> Path:
    """A repository of DVC in which it has run, with locks by `flock`."""
    folder = tmp_path_factory.mktemp("repository")
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    run(folder, "dvc", "status")
    return folder


@pytest.fixture
def repository(dvc_folder, monkeypatch) -> Path:
    """That repository, as the current folder, and without settings of its own."""
    monkeypatch.chdir(dvc_folder)
    Path(".dvc/config.local").unlink(missing_ok=True)
    return dvc_folder


def start(code: str, *arguments: str, number: int | None = None) -> subprocess.Popen:
    """Run Python code; with an errno, `flock` fails with it."""
    filtered = [] if number is None else [sys.executable, str(WITHOUT_FLOCK), str(number)]
    return subprocess.Popen(
        [*filtered, sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_dvc_works_on_with_hard_links_for_locks(repository, record_fault):
    """Also where it had locks by `flock` before."""
    mend()
    assert Path(".dvc/tmp/rwlock.lock").exists()
    Path(".dvc/config.local").write_text(SETTING)
    mend()
    assert not Path(".dvc/tmp/rwlock.lock").exists()
    assert not Path(".dvc/tmp/lock").exists()
    assert "no data or pipelines tracked" in run(repository, "dvc", "status")
    record_fault(KIND, "`core.hardlink_lock` set, as DVC advises for network disks", "`make repro` heeds it")


def test_a_lock_of_hard_links_that_a_killed_dvc_left(repository, record_fault):
    Path(".dvc/config.local").write_text(SETTING)
    killed = start(KILLED, ".dvc/tmp/lock")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    _, told = start(MEND).communicate()
    assert told == (
        "error: .dvc/tmp/lock: is held by another DVC, or was left by a killed one; wait for it "
        "or stop it, and run again; if no DVC runs on any machine, delete the file\n"
    )
    Path(".dvc/tmp/lock").unlink()
    mend()
    record_fault(KIND, "`core.hardlink_lock` set, DVC killed while it holds its lock", f"`` {told.strip()} ``")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_disk_without_flock(repository, record_fault, number):
    process = start(MEND, number=number)
    _, told = process.communicate()
    assert process.returncode == 1
    disk = next(folder for folder in repository.parents if folder.is_mount())
    assert told == (
        f"error: .dvc/tmp/rwlock.lock: cannot be locked on the disk mounted at {disk} ({os.strerror(number)}); "
        "run `dvc config --local core.hardlink_lock true`, or mount it with flock\n"
    )
    Path(".dvc/config.local").write_text(SETTING)
    process = start(MEND, number=number)
    assert process.communicate() == ("", "")
    assert process.returncode == 0
    record_fault(KIND, f"a disk on which flock fails: {errno.errorcode[number]}", f"`` {told.strip()} ``")


@pytest.mark.parametrize("number", [None, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_lock_is_held_by_one_living_process(tmp_path, monkeypatch, record_fault, number):
    monkeypatch.chdir(tmp_path)
    holder = start(HELD, number=number)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    assert start(HELD, number=number).communicate() == ("False\n", "")
    holder.kill()
    holder.communicate()
    assert start(HELD, number=number).communicate() == ("True\n", "")
    assert start(ENDED, number=number).communicate() == ("True\n", "")
    assert not Path("units").exists()
    disk = "flock" if number is None else f"a disk on which flock fails: {errno.errorcode[number]}"
    record_fault(KIND, f"{disk}: a launcher or a run, killed", "its lock is free for the next")
