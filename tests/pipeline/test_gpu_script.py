"""`make gpu` on a machine without a GPU, with tiny sizes: every part runs to its end."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import psutil
import pytest
import torch

import benchmarks.gpu.__main__ as script
from benchmarks.gpu import many, parts
from benchmarks.gpu.parts import ALL_LIMITS, ON_REQUEST, limited, written
from benchmarks.gpu.smoke import FEW, OBJECTIVES, WITH_DROPOUT
from benchmarks.gpu.trials import BEFORE
from src.parallel.slots import MPS
from tests.conftest import REPOSITORY
from tests.support.repository import run

SOON = 1.6  # seconds; five times as many with tiny sizes: when workers have started, and before they are done


@pytest.mark.slow
def test_every_part_runs_to_its_end_and_finds_what_it_must(tmp_path):
    run(REPOSITORY, sys.executable, "-m", "benchmarks.gpu", "--tiny", "--output", str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["smoke"]["passed"]
    assert found["smoke"]["runs"] == len(OBJECTIVES) + 4 * len(FEW) + len(WITH_DROPOUT)
    assert found["determinism"]["passed"]
    assert found["determinism"]["killed after a checkpoint"]
    assert found["speed"]["batch 4, ours / Trainer"] > 0
    assert found["speed"]["batch 4, compiled, ours / Trainer"] > 0
    assert found["many"]["2 workers, runs a minute"] > 0


@pytest.mark.slow
def test_every_trial_of_a_faster_step_runs(tmp_path):
    options = ["--tiny", "--only", *ON_REQUEST, "--output", str(tmp_path / "found.json")]
    run(REPOSITORY, sys.executable, "-m", "benchmarks.gpu", *options)
    found = json.loads((tmp_path / "found.json").read_text())
    assert all(found["trials"][f"batch 4, {name} / {other}"] > 0 for name, other in BEFORE.items())
    assert found["stacked"]["2 models / one"] > 0


@pytest.mark.slow
def test_a_part_whose_time_is_over_leaves_no_process(monkeypatch, tmp_path):
    monkeypatch.setenv("STARTED_BY", str(tmp_path))
    monkeypatch.setitem(ALL_LIMITS, "many", SOON)
    assert [*limited("many", tiny=True)][-1]["broken"] == "its time is over"
    processes = [process.info for process in psutil.process_iter(["cmdline", "environ"])]
    left = [info["cmdline"] for info in processes if (info["environ"] or {}).get("STARTED_BY") == str(tmp_path)]
    assert not [command for command in left if "resource_tracker" not in " ".join(command)]


def test_where_mps_does_not_start_the_other_rates_are_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    command = tmp_path / MPS
    command.write_text("#!/bin/sh\nexit 1\n")
    command.chmod(0o755)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(many, "_rates", lambda *_: iter([{"2 workers, runs a minute": 1.0}]))
    failed, measured = many.measure(tmp_path, tiny=True)
    assert failed["with MPS, failed"].startswith(f"{MPS}: does not start")
    assert measured == {"2 workers, runs a minute": 1.0}


def results(*found: dict[str, Any]) -> Callable[[str, bool], Iterator[dict[str, Any]]]:
    return lambda name, tiny: iter(found)


def test_a_part_that_breaks_does_not_replace_whole_results(monkeypatch, tmp_path, capsys):
    output = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "--only", "smoke", "--output", str(output)])
    unfinished = {"runs": 1, "broken": "it did not come to its end"}

    def after(*found: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(script, "limited", results(*found))
        status = script.main()
        return status, json.loads(output.read_text())["smoke"] | {"seconds": 0.0}

    assert after(unfinished) == (1, unfinished | {"seconds": 0.0})
    assert after(unfinished, {"runs": 2, "passed": True}) == (0, {"runs": 2, "passed": True, "seconds": 0.0})
    assert after(unfinished, {"broken": "its time is over"}) == (1, {"runs": 2, "passed": True, "seconds": 0.0})
    assert "its time is over" in capsys.readouterr().out


def test_a_part_that_is_killed_after_its_first_results_is_broken(monkeypatch):
    """As by the kernel, if memory runs out."""
    monkeypatch.setitem(ALL_LIMITS, "killed", 60)
    monkeypatch.setattr(parts, "_measure", _killed)
    assert [*limited("killed", tiny=True)] == [
        {"runs": 1, "broken": "it did not come to its end"},
        {"runs": 1, "broken": f"its process ended with status {-signal.SIGKILL}"},
    ]


def _killed(pipe: Connection, *_: object) -> None:
    pipe.send({"runs": 1})
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_of_another_setting_are_not_replaced(tmp_path):
    output = tmp_path / "found.json"
    output.write_text('{"machine": {"device": "another"}, "tiny": true, "many": {}}')
    before = output.read_bytes()
    told = run(REPOSITORY, sys.executable, "-m", "benchmarks.gpu", "--tiny", "--output", str(output), ok=False)
    assert told.startswith(f"error: {output}: its results have another machine, training code or size")
    assert output.read_bytes() == before


def test_a_number_that_json_lacks_becomes_text():
    found = {"far": {"ce": float("nan"), "kd": 0.123456}, "largest difference": float("inf"), "passed": False}
    expected = {"far": {"ce": "nan", "kd": 0.1235}, "largest difference": "inf", "passed": False}
    assert written(found) == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so():
    assert "error: this machine has no GPU" in run(REPOSITORY, sys.executable, "-m", "benchmarks.gpu", ok=False)
