"""Units of a study side by side: which there are, and that whatever is killed the results stay the same."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from src.errors import UserError
from src.parallel.places import places
from src.parallel.units import Unit, part_of, stale, units_of
from src.parallel.workplace import join_entries, read_entries
from src.params import Runtime
from tests.support.repository import run, same_results, small_disk, small_studies, start, without_privileges

JOBS = ("python", "-m", "stages.repro", "--jobs", "2")


def command(stage: str, rest: str, seed: int) -> str:
    return f"python -m stages.{stage} --task a-b {rest} --seed {seed}"


COMMANDS = {
    "settings": "python -m stages.settings",
    "prepare@a-b": "python -m stages.prepare --task a-b",
    "finetune@a-b-ce-0": command("finetune", "--arm ce", 0),
    "finetune@a-b-ce-10": command("finetune", "--arm ce", 10),
    "finetune_more@a-b-ce-3": command("finetune", "--arm ce", 3),
    "student@a-b-plain-0": command("student", "--arm plain", 0),
    "distill_matched@a-b-kd-pair0-0": command("distill", "--teacher ce_as_x --recipe kd", 0),
    "distill_more@a-b-kd-ce-3": command("distill", "--teacher ce --recipe kd", 3),
    "collect@a-b": "python -m stages.collect --task a-b",
}


def test_a_unit_is_a_task_and_a_seed():
    first, second, more = units_of(COMMANDS)
    assert first == Unit(
        "a-b", 0, ("finetune@a-b-ce-0", "student@a-b-plain-0", "distill_matched@a-b-kd-pair0-0")
    )  # fmt: skip
    assert first.groups == ["finetune", "student", "distill_matched"]
    assert (second.name, second.stages) == ("a-b-10", ("finetune@a-b-ce-10",))
    assert (more.name, more.groups) == ("a-b-3", ["finetune", "distill"])  # its only seed is none of more_seeds


def test_units_run_where_one_of_their_stages_changed():
    assert stale(units_of(COMMANDS), ["collect@a-b", "distill_more@a-b-kd-ce-3"]) == units_of(COMMANDS)[2:]


def test_parts_are_all_units_and_none_twice():
    units = units_of(COMMANDS)
    assert [part_of(units, (number, 2)) for number in (1, 2)] == [[units[0], units[2]], [units[1]]]
    assert part_of(units, (1, 1)) == units


def test_entries_take_their_places_in_the_lock(tmp_path, monkeypatch):
    """Those of a unit that failed at first come later, and stand where they would have stood."""
    monkeypatch.chdir(tmp_path)
    order = ["prepare", "a-0", "a-1", "b-0", "b-1"]
    for names in (["prepare"], ["b-1", "a-1"], ["b-0", "a-0", "a-1"]):
        join_entries({name: {"cmd": f"{name} of {len(names)}"} for name in names}, order)
    assert list(read_entries()) == order
    assert [entry["cmd"][-1] for entry in read_entries().values()] == ["1", "3", "3", "3", "2"]


def test_several_runs_that_would_take_all_cores_are_refused():
    assert places(3, 1, Runtime(threads=1)) == [{}, {}, {}]
    assert len(places(None, 1, Runtime(threads=os.cpu_count()))) == 1
    with pytest.raises(UserError, match=r"runtime\.threads: null gives each of 2 runs all cores; a number"):
        places(2, 1, Runtime(threads=None))


@pytest.mark.parametrize(
    ("option", "told"),
    [("--jobs=0", "'0' is no number from 1"), ("--part=3/2", "'3/2' is no"), ("--ray=auto", "'auto' is no address")],
)
def test_options_that_mean_nothing_are_refused(option, told):
    done = subprocess.run([sys.executable, "-m", "stages.repro", option], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert told in done.stderr


# What follows is of real processes: rows of docs/faults.md.
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
@pytest.mark.fault
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
@pytest.mark.fault
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
@pytest.mark.fault
def test_a_second_launcher(fresh, studies, record_fault):
    process = started(fresh)
    line = run(fresh, *JOBS, ok=False).splitlines()[-1]
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert line == "error: .dvc/tmp/units: its units are being run already; wait for that launcher, or stop it"
    assert same_results(fresh, studies[1])
    record_fault(KIND, "two launchers of one study at once", f"`` {line} ``")


@pytest.mark.slow
@pytest.mark.fault
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
@pytest.mark.fault
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
