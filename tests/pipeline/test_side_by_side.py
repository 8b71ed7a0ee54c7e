"""Units of a study side by side: which there are, where they run, and options that are refused."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from dvc.config import Config

from src.parallel.launcher import Launcher
from src.parallel.slots import MPS, Slot, mps, slots, worker_slots
from src.parallel.unit_copy import _configure, join_entries, read_entries
from src.parallel.units import Unit, part_of, stale, units_of
from src.params import Runtime
from src.system.errors import UserError


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
    assert slots(3, 1, Runtime(threads=1)) == [{}, {}, {}]
    assert len(slots(None, 1, Runtime(threads=os.cpu_count()))) == 1
    with pytest.raises(
        UserError, match=r"runtime\.threads: is null, which gives each of 2 runs all cores; set a number"
    ):
        slots(2, 1, Runtime(threads=None))


def test_gpus_are_shared_unless_runs_compute_elsewhere(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    first, second = {"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}
    assert slots(None, 2, Runtime(threads=1)) == [first, second, first, second]
    assert worker_slots(3, Runtime(threads=1)) == [first, second, first]
    on_cpu = Runtime(threads=1, device="cpu")
    assert slots(8, 1, on_cpu) == worker_slots(8, on_cpu) == [{}] * 8
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert worker_slots(3, Runtime(threads=1)) == [{}] * 3


class WaitingUnits:
    """An engine whose first unit ends at once. The others wait for a signal. It notes the units and signals."""

    def __init__(self) -> None:
        self.slots: list[Slot] = [{}]
        self.ran: list[str] = []
        self.signals: list[int] = []
        self.stopped = threading.Event()

    def reproduce(self, unit: Unit, folder: Path, log: Path, slot: Slot) -> int:
        self.ran.append(unit.name)
        return 0 if unit.seed == 0 or self.stopped.wait(60) else 1

    def stop(self, number: int) -> None:
        self.signals.append(number)
        self.stopped.set()


def test_a_signal_that_comes_while_an_outcome_is_taken_stops_the_units(tmp_path):
    engine = WaitingUnits()
    units = [Unit("t", seed, ()) for seed in range(3)]
    outcomes = Launcher(engine, lambda unit: tmp_path, tmp_path / "logs").run(units)
    next(outcomes)
    outcomes.close()  # what Python does if the caller's loop is left by an exception
    assert engine.signals == [signal.SIGTERM]
    assert "t-2" not in engine.ran


def test_mps_runs_during_the_block_and_its_clients_find_it(tmp_path, monkeypatch):
    """A script in place of NVIDIA's daemon notes its calls."""
    daemon, noted = tmp_path / MPS, tmp_path / "noted"
    daemon.write_text(f'#!/bin/sh\n[ "$1" = -d ] || read -r word\necho "$* $word" >> {noted}\n')
    daemon.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with mps():
        assert Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"]).is_dir()
        assert noted.read_text().split() == ["-d"]
    assert noted.read_text().split() == ["-d", "quit"]
    assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ

    daemon.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(UserError, match=f"{MPS}: does not start .*exit status 1.*; do without MPS"), mps():
        pass
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=f"{MPS}: is not installed; do without MPS"), mps():
        pass


def test_an_error_that_nobody_foresaw_fails_one_unit_alone(tmp_path):
    def prepare(unit: Unit) -> Path:
        if unit.seed:
            return tmp_path
        raise PermissionError(13, "Permission denied", "source.csv")

    engine = WaitingUnits()
    engine.stopped.set()
    units = [Unit("t", seed, ()) for seed in range(3)]
    outcomes = {outcome.unit.seed: outcome for outcome in Launcher(engine, prepare, tmp_path / "logs").run(units)}
    assert outcomes[0].failure == "PermissionError: [Errno 13] Permission denied: 'source.csv'"
    assert [outcomes[seed].folder for seed in range(3)] == [None, tmp_path, tmp_path]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--jobs=0", "'0' is not a whole number"),
        ("--part=3/2", "'3/2' is not a part"),
        ("--ray=auto", "'auto' is not an address"),
    ],
)
def test_options_that_mean_nothing_are_refused(option, told):
    done = subprocess.run([sys.executable, "-m", "stages.repro", option], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert told in done.stderr


def test_the_copy_of_a_unit_keeps_the_users_dvc_settings(tmp_path):
    """Its own are: no git, the repository's cache, and databases in the copy."""
    (tmp_path / "config").write_text("[core]\n    hardlink_lock = true\n    remote = far\n")
    (tmp_path / "config.local").write_text("['remote \"far\"']\n    url = s3://bucket/a\n")
    cache = tmp_path / "cache, of all"
    _configure(tmp_path, cache)
    found = Config(str(tmp_path))
    assert (found["core"]["no_scm"], found["core"]["hardlink_lock"], found["core"]["remote"]) == (True, True, "far")
    assert found["core"]["site_cache_dir"] == str(tmp_path / "tmp/site")
    assert found["cache"]["dir"] == str(cache)
    assert found["remote"]["far"]["url"] == "s3://bucket/a"
