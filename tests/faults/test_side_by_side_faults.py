"""Units of a study side by side: kills and full disks leave the results the same."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.support.repository import run, same_results, small_disk, small_studies, start, without_privileges

JOBS = ("python", "-m", "stages.repro", "--jobs", "2")
KIND = "units side by side"


@pytest.fixture(scope="module")
def studies(tmp_path_factory, tiny_encoder) -> tuple[Path, Path]:
    """A clone of a tiny study of two seeds, not run yet, and one in which plain `dvc repro` has run to its end."""
    return small_studies(tmp_path_factory.mktemp("studies"), tiny_encoder, tasks=["tiny"], seeds=[0, 1], epochs=12)


@pytest.fixture
def fresh(studies, tmp_path) -> Path:
    return shutil.copytree(studies[0], tmp_path / "fresh")


def at_work(folder: Path) -> list[psutil.Process]:
    """The processes in the units of a clone."""
    units = str(folder / ".dvc/tmp/units")
    return [process for process in psutil.process_iter(["cwd"]) if (process.info["cwd"] or "").startswith(units)]


def started(folder: Path, *options: str) -> subprocess.Popen:
    """A launcher, and two units of it that have begun to train."""
    process = start(folder, *JOBS, *options)
    logs = [folder / f"logs/tiny/tiny-{seed}.log" for seed in (0, 1)]
    while not all(log.is_file() and "epoch 2/12" in log.read_text() for log in logs):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    return process


def stage_of(folder: Path, word: str) -> psutil.Process:
    """The process in the unit of seed 0 whose command line has a word."""
    [found] = [
        process
        for process in at_work(folder)
        if process.cwd().endswith("tiny-0") and word in process.cmdline() and "-c" not in process.cmdline()
    ]
    return found


def ends_as_the_others(folder: Path, whole: Path) -> str:
    told = run(folder, *JOBS)
    assert same_results(folder, whole)
    assert not at_work(folder)
    assert not list((folder / "checkpoints").glob("*"))
    return told


SAME = "; the same command ends with the same bytes"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status"), [("SIGKILL", -9), ("SIGTERM", 143), ("SIGINT", 130)], ids=["kill -9", "SIGTERM", "SIGINT"]
)
def test_a_launcher_that_is_stopped(fresh, studies, record_fault, name, status):
    process = started(fresh)
    os.kill(process.pid, signal.Signals[name])
    told, _ = process.communicate(timeout=120)
    assert process.returncode == status, told
    _, alive = psutil.wait_procs(at_work(fresh), timeout=30)
    assert not alive
    assert len(list((fresh / "checkpoints").glob("*/step-*"))) >= 2
    ends_as_the_others(fresh, studies[1])
    assert "going on from the checkpoint" in (fresh / "logs/tiny/tiny-0.log").read_text()
    record_fault(KIND, f"the launcher gets {name}", f"its units save and end{SAME}")


@pytest.mark.slow
@pytest.mark.parametrize("word", ["dvc", "stages.finetune"])
def test_a_process_of_a_unit_that_is_killed(fresh, studies, record_fault, word):
    process = started(fresh)
    stage_of(fresh, word).kill()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert told.splitlines()[-1] == "error: logs/tiny: 1 of 2 units failed; mend these and run again"
    assert "tiny-0: " in told
    assert "2 of 2 units, 0 running, 1 failed" in told
    assert not at_work(fresh)
    ends_as_the_others(fresh, studies[1])
    record_fault(KIND, f"kill -9 of {word} in a unit", f"the other unit ends, this one is named{SAME}")


@pytest.mark.slow
def test_a_second_launcher(fresh, studies, record_fault):
    process = started(fresh)
    line = run(fresh, *JOBS, ok=False).splitlines()[-1]
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert line == "error: .dvc/tmp/units: its units are being run already; wait for that launcher, or stop it"
    assert same_results(fresh, studies[1])
    record_fault(KIND, "two launchers of one study at once", f"`` {line} ``")


@pytest.mark.slow
def test_a_cache_that_may_only_be_read(fresh, studies, record_fault):
    run(fresh, "dvc", "repro", "prepare")
    cache = fresh / ".dvc/cache"
    for path in [cache, *cache.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    told = run(fresh, *without_privileges(), *JOBS, ok=False)
    assert "Permission denied" in told
    for path in [cache, *cache.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    ends_as_the_others(fresh, studies[1])
    record_fault(KIND, "a cache of DVC's that may only be read", f"its units fail and are named{SAME}")


@pytest.mark.slow
@pytest.mark.parametrize(("size", "moment"), [("100k", "its copy is made"), ("1500k", "it trains")])
def test_a_disk_that_fills_up_while(fresh, studies, record_fault, size, moment):
    run(fresh, "dvc", "repro", "prepare")
    with small_disk(fresh / ".dvc/tmp/units", size):
        told = run(fresh, *JOBS, ok=False)
        # DVC's own data bases may be the first that find no room.
        assert re.search("no space left on its disk; free some and run again|database or disk is full", told)
        # What one that has failed leaves free may be enough for the other.
        assert re.fullmatch("error: logs/tiny: [12] of 2 units failed; mend these and run again", told.splitlines()[-1])
    ends_as_the_others(fresh, studies[1])
    record_fault(KIND, f"no room in `.dvc/tmp/units` while {moment}", f"its units fail and are named{SAME}")
