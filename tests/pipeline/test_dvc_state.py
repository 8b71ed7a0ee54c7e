"""What a killed DVC leaves: real DVC in a small repository, with its files cut as a kill cuts them."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import yaml
from dvc.lock import make_lock

from src.repository.dvc_state import check_no_dvc_works, mend
from src.system.errors import UserError
from tests.support.repository import run, start

STAGES = {
    "quick": {"cmd": "cp source quick", "deps": ["source"], "outs": ["quick"]},
    "slow": {"cmd": "touch begun && sleep 60"},
}


@pytest.fixture(scope="module")
def committed(tmp_path_factory) -> Path:
    """Two stages, of which the quick one has run and is committed."""
    folder = tmp_path_factory.mktemp("committed")
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "config", "core.analytics", "false")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    (folder / "source").write_text("1\n")
    run(folder, "dvc", "repro", "quick")
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "ran")
    return folder


@pytest.fixture
def repository(committed, tmp_path) -> Path:
    """A copy to damage."""
    return shutil.copytree(committed, tmp_path / "repository")


def another_process(repository: Path) -> str:
    """An entry of a DVC long gone, whose number this test's process has now."""
    entry = {"pid": os.getpid(), "cmd": "dvc repro"}
    return json.dumps({"write": {str(repository / "quick"): entry}, "read": {}})


@pytest.mark.parametrize(
    ("rwlock", "words"),
    [
        (lambda _: "", "JSON structure is corrupted"),
        (lambda _: '{"write": {"/a', "JSON structure is corrupted"),
        (lambda _: '{"write": 1}', "format error"),
        (another_process, "it is being blocked by"),
    ],
    ids=["empty", "cut", "other format", "a number taken again"],
)
def test_an_rwlock_that_is_left_over(repository, capsys, rwlock, words):
    path = repository / ".dvc/tmp/rwlock"
    path.write_text(rwlock(repository))
    assert words in run(repository, "dvc", "repro", "quick", ok=False)
    mend(repository)
    assert capsys.readouterr().err == f"warning: removed {path}, which a killed DVC had left\n"
    assert "up to date" in run(repository, "dvc", "repro", "quick")
    mend(repository)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_lock_file_cut_anywhere(repository, capsys):
    """DVC writes it from the top: half of it may be no YAML, of another form, or an entry that DVC would keep for ever.

    What is not noticed lacks whole entries, and DVC notices that.
    """
    path = repository / "dvc.lock"
    whole = path.read_bytes()
    unreadable, unnoticed = [], []
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        mend(repository)
        said = capsys.readouterr().err
        assert bool(said) == (path.read_bytes() == whole)
        (unreadable if said else unnoticed).append(size)
    assert len(unreadable) > 0.9 * len(whole)
    for size in unnoticed:
        path.write_bytes(whole[:size])
        assert "is cached" in run(repository, "dvc", "repro", "quick")
        assert path.read_bytes() == whole
    half = whole[: whole.index(b"outs") + 2]
    path.write_bytes(half)
    assert "dvc.lock" in run(repository, "dvc", "repro", "quick", ok=False)
    mend(repository)
    assert "dvc.lock was damaged, as if DVC had been killed while writing: the committed one replaces it" in (
        capsys.readouterr().err
    )
    assert (repository / ".dvc/tmp/dvc.lock.damaged").read_bytes() == half
    assert "up to date" in run(repository, "dvc", "repro", "quick")


def test_a_lock_file_that_was_never_committed(repository, capsys):
    run(repository, "git", "rm", "--quiet", "--cached", "dvc.lock")
    run(repository, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "no lock")
    (repository / "dvc.lock").write_bytes(b"")
    assert "validation failed" in run(repository, "dvc", "repro", "quick", ok=False)
    mend(repository)
    assert "none is committed" in capsys.readouterr().err
    assert "is cached - skipping run" in run(repository, "dvc", "repro", "quick")


def test_a_merge_conflict_is_left_to_the_user(repository):
    path = repository / "dvc.lock"
    conflict = f"<<<<<<< HEAD\n{path.read_text()}=======\n>>>>>>> other\n"
    path.write_text(conflict)
    with pytest.raises(UserError, match=r"has a merge conflict; run `git checkout --ours dvc.lock` \(or"):
        mend(repository)
    assert path.read_text() == conflict


def begun(repository: Path, process: subprocess.Popen) -> None:
    """Wait until the slow stage runs."""
    while not (repository / "begun").exists():
        assert process.poll() is None
        time.sleep(0.1)


def test_nothing_is_touched_while_another_dvc_is_at_work(repository, capsys):
    with start(repository, "dvc", "repro", "slow") as process:
        begun(repository, process)
        in_use = (repository / ".dvc/tmp/rwlock").read_text()
        mend(repository)
        assert (repository / ".dvc/tmp/rwlock").read_text() == in_use
        (repository / "dvc.lock").write_text("")
        with pytest.raises(UserError, match=rf"cannot be read while DVC runs here \(process {process.pid}\)"):
            mend(repository)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    mend(repository)
    assert "the committed one replaces it" in capsys.readouterr().err
    assert "up to date" in run(repository, "dvc", "repro", "quick")


def test_a_dvc_in_a_copy_below_its_state_is_none_of_this_repository(repository, capsys):
    """As in the clone of a part of a study."""
    copy = repository / ".dvc/tmp/parts/101"
    run(repository, "git", "clone", "--quiet", str(repository), str(copy))
    (repository / ".dvc/tmp/rwlock").write_text("")
    with start(copy, "dvc", "repro", "slow") as process:
        begun(copy, process)
        check_no_dvc_works(repository)
        mend(repository)
        with pytest.raises(UserError, match=rf"DVC runs here \(process {process.pid}\); wait for that process"):
            check_no_dvc_works(copy)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert "rwlock, which a killed DVC had left" in capsys.readouterr().err


def test_a_dvc_whose_folder_may_not_be_seen_may_be_at_work_here(repository, capsys, monkeypatch):
    """As that of another user."""
    with start(repository, "dvc", "repro", "slow") as process:
        begun(repository, process)
        as_seen = [other for other in psutil.process_iter(["cmdline", "cwd"]) if other.pid == process.pid]
        as_seen[0].info["cwd"] = None
        monkeypatch.setattr(psutil, "process_iter", lambda _: as_seen)
        in_use = (repository / ".dvc/tmp/rwlock").read_text()
        mend(repository)
        assert (repository / ".dvc/tmp/rwlock").read_text() == in_use
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_lock_that_is_held_is_one_line(repository):
    state = repository / ".dvc" / "tmp"
    with (
        make_lock(str(state / "rwlock.lock"), tmp_dir=str(state)),
        pytest.raises(UserError, match=r"rwlock\.lock: is held by another DVC; wait for it"),
    ):
        mend(repository)
