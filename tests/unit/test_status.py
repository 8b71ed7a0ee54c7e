"""The table of `stages.status`: what it says of runs that are finished, running, slow, diverging, failed or waiting."""

import json
import os
import pty
import signal
import sys
import time
from pathlib import Path

import pytest
import yaml

import stages.finetune
import stages.prepare
import stages.status
from src.core.monitoring.event_files import append_events, curve_folder, event_files, start_events
from src.core.monitoring.live import LiveCurve
from src.params import Params, load_params
from src.runs import RunName
from src.status.states import study_states
from src.status.table import table
from src.study import UNIT_SETTINGS, unit_folder
from tests.conftest import REPOSITORY
from tests.support.repository import tiny_study

KIND = "the status of a study"


def name(arm: str, seed: int = 0, role: str = "teacher") -> RunName:
    return RunName("tiny", role, arm, seed)


@pytest.fixture
def study(tmp_path, tiny_encoder, monkeypatch) -> Params:
    """A study of two seeds in the working folder."""
    monkeypatch.chdir(tmp_path)
    content = tiny_study(tiny_encoder, tmp_path) | {"seeds": [0, 1]}
    content["finetune"]["training"]["epochs"] = 1
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return load_params()


@pytest.fixture
def params(study, call) -> Params:
    """The same, whose first run is made by its stage."""
    call(stages.prepare, "--task", "tiny")
    call(stages.finetune, "--task", "tiny", "--arm", "ce", "--seed", "0")
    return study


def began(params: Params, run: RunName, epochs: list[dict[str, float]]) -> LiveCurve:
    """The curve of a run of this process, with these epochs."""
    curve = LiveCurve(curve_folder(params.study, run))
    curve.begin([])
    for number, row in enumerate(epochs, start=1):
        curve.add({"epoch": number, **row})
    return curve


def dated(curve: LiveCurve, seconds_ago: float, process: int) -> None:
    """The same file, as a process of that number had begun it earlier."""
    [path] = event_files(curve.folder)
    parts = path.name.split(".")
    parts[-2:] = str(process), str(time.time_ns() - int(seconds_ago * 1e9))
    path.rename(path.with_name(".".join(parts)))


def learns(*scores: float) -> list[dict[str, float]]:
    return [{"loss_total": 1 / epoch, "selection_accuracy": score} for epoch, score in enumerate(scores, start=1)]


def found(params: Params) -> dict[str, tuple[str, str]]:
    """State and remark of each run."""
    return {str(run.name): (run.state, run.told) for run in study_states(params)}


def test_each_run_of_a_study_has_its_state(params, call, capsys):
    began(params, name("cmi_min"), learns(0.6, 0.95))
    rising = [{"loss_total": loss, "selection_accuracy": 0.9} for loss in (0.5, 0.6, 0.7)]
    began(params, name("cmi_max"), rising)
    began(params, name("ce", 1), learns(0.5, 0.5))
    dated(began(params, name("cmi_min", 1), learns(0.9)), 5.0, process=2**22 + 1)  # of no process that lives
    Path("logs/tiny").mkdir()
    Path("logs/tiny/tiny-1.log").write_text(
        "Running stage 'finetune@tiny-cmi_max-1':\n"
        "> python -m stages.finetune --task tiny --arm cmi_max --seed 1\n"
        "error: tiny/teacher/cmi_max/1: out of memory (a line); lower batch_size\n"
        "ERROR: failed to reproduce 'finetune@tiny-cmi_max-1': failed to run\n"
        "> python -m stages.student --task tiny --arm plain --seed 1\n"
        "stopped by SIGINT: a checkpoint is saved at step 3\n"
        "ERROR: failed to reproduce 'student@tiny-plain-1': failed to run, exited with 130\n"
    )
    states = found(params)
    assert states["tiny/teacher/ce/0"] == ("finished", "")
    assert states["tiny/teacher/cmi_min/0"] == ("running", "")
    assert states["tiny/teacher/cmi_max/0"] == ("diverging", "its loss rose twice, to 0.7")
    assert states["tiny/teacher/ce/1"] == ("diverging", "no better than the most frequent label (0.5625)")
    assert states["tiny/teacher/cmi_min/1"][0] == "waiting"
    assert states["tiny/teacher/cmi_max/1"] == (
        "failed",
        "error: tiny/teacher/cmi_max/1: out of memory (a line); lower batch_size",
    )
    assert states["tiny/student/plain/0"] == states["tiny/student/plain/1"] == ("waiting", "")

    capsys.readouterr()
    call(stages.status)
    first, head, *lines = capsys.readouterr().out.splitlines()
    assert first == "study tiny, 14 runs: 1 finished, 9 waiting, 1 failed, 2 diverging, 1 running"
    assert head.split() == ["state", "run", "epoch", "score", "since"]
    assert [line.split()[0] for line in lines] == ["failed", "diverging", "diverging", "running"]
    assert lines[-1].split()[:4] == ["running", "tiny/teacher/cmi_min/0", "2/1", "0.9500"]
    call(stages.status, "--all")
    assert len(capsys.readouterr().out.splitlines()) == 2 + 14


def test_a_run_that_takes_twice_its_usual_time_is_slow(params):
    timing = json.loads(Path("timing/tiny/teacher/ce/0.json").read_text())
    usual = sum(timing[part] for part in ("load_seconds", "train_seconds", "predict_seconds"))
    began(params, name("ce", 1), [])
    assert found(params)["tiny/teacher/ce/1"] == ("running", "")
    timing |= {"load_seconds": 0.0, "train_seconds": -1.0, "predict_seconds": 0.0}  # any time is more than twice that
    Path("timing/tiny/teacher/ce/0.json").write_text(json.dumps(timing))
    assert usual > 0
    assert found(params)["tiny/teacher/ce/1"][0] == "slow"

    began(params, name("ce"), learns(0.9))
    assert found(params)["tiny/teacher/ce/0"][0] == "running"  # it was finished, and starts anew


def test_a_failure_in_the_curve_serves_where_no_log_has_it(study):
    began(study, name("cmi_min"), learns(0.6)).fail("tiny/teacher/cmi_min/0: the loss is not finite")
    assert found(study)["tiny/teacher/cmi_min/0"] == ("failed", "tiny/teacher/cmi_min/0: the loss is not finite")


def test_a_run_on_another_machine_is_taken_to_run(study):
    curve = began(study, name("cmi_min"), learns(0.9))
    [path] = event_files(curve.folder)
    other = path.with_name(f"events.out.tfevents.{int(time.time())}.node.example.org.7.{time.time_ns()}")
    append_events(other, start_events({}))
    assert found(study)["tiny/teacher/cmi_min/0"][0] == "running"


def test_runs_whose_records_are_kept_are_finished(study):
    """As in a clone of a repository in which another machine's units were committed."""
    unit = unit_folder(study.study, "tiny", 1)
    unit.mkdir(parents=True)
    (unit / "runs.csv").touch()
    assert found(study)["tiny/teacher/ce/1"][0] == "waiting"  # it is not whole
    (unit / UNIT_SETTINGS).touch()
    states = {run: state for run, (state, _) in found(study).items()}
    assert states["tiny/teacher/ce/1"] == states["tiny/student/kd-ce/1"] == "finished"
    assert states["tiny/teacher/ce/0"] == "waiting"


def test_without_curves_the_table_says_so(study):
    off = study.model_copy(update={"runtime": study.runtime.model_copy(update={"live": False})})
    assert table(off, study_states(off), every=False)[1] == "runtime.live is false: a run appears only after its end"


@pytest.mark.fault
@pytest.mark.parametrize(
    ("fault", "options", "expected"),
    [
        ("--watch into a pipe", ["--watch"], "error: --watch: the output is not a terminal; leave --watch out"),
        (
            "a study that is not there",
            ["--name", "nosuch"],
            "error: studies/nosuch/study.yaml: no such study; allowed: demo",
        ),
    ],
)
def test_what_cannot_be_shown_is_one_line(fault, options, expected, monkeypatch, capsys, record_fault):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "argv", ["stage", *options])
    with pytest.raises(SystemExit, match="1"):
        stages.status.main()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(expected)
    record_fault(KIND, fault, f"`` {line:.120} ``")


def test_watch_shows_the_table_on_a_terminal_until_it_is_interrupted(study, call, monkeypatch):
    ours, theirs = pty.openpty()
    monkeypatch.setattr(stages.status.time, "sleep", lambda _: os.kill(os.getpid(), signal.SIGINT))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        call(stages.status, "--watch")
    told = os.read(ours, 10_000)
    os.close(ours)
    assert told.strip() == b"\x1b[H\x1b[2Jstudy tiny, 14 runs: 14 waiting"
