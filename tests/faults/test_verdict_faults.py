"""What a verdict must not rest on: another metric of a like name, arms that predict one label, no better than majority.

The stages judge studies whose runs and tasks are damaged on disk.
"""

import sys
from pathlib import Path

import pytest

import stages.collect
import stages.evaluate
import stages.settings
from src.data.prepared import DATA_FOLDER, SPLITS_FOLDER
from src.system.files import read_json, write_json
from tests.faults.hostile.cases import TINY, write_params
from tests.support.synthetic_study import CLAIM, make_study, predict_one_label

KIND = "Claims and verdicts"


def study(labels: list[str], *tasks: str, **claim) -> None:
    """A study of five seeds with one claim, in the current folder."""
    make_study(labels, seeds=5, tasks=tasks, evaluate={"claims": {"better": CLAIM | claim}})


def judged(call, capsys, *tasks: str) -> tuple[dict, str, str]:
    """The study's only claim as claims.json has it, and what `evaluate` says on stdout and on stderr."""
    for task in tasks:
        call(stages.collect, "--task", task)
    capsys.readouterr()
    call(stages.evaluate)
    [claim] = read_json(Path("metrics/made/claims.json"))["claims"]
    told = capsys.readouterr()
    return claim, told.out, told.err


def test_arms_that_predict_one_label(call, capsys, record_fault):
    study(["a", "b", "c"], "tiny")
    predict_one_label("tiny", "*")
    claim, out, err = judged(call, capsys, "tiny")
    line = "cannot be told at this size (both arms predict one label)"
    assert f"It is better: {line}" in out
    assert not {"low", "high", "smallest_visible"} & {*claim}
    warnings = read_json(Path("metrics/made/claims.json"))["warnings"]
    warning = "tiny: no run beats the most frequent label of train (accuracy 0.3833 on test)"
    assert warnings == [warning, "tiny: runs that predict one label for every test row: all 25"]
    assert err == "".join(f"warning: {line}\n" for line in warnings)
    record_fault(KIND, "both arms of a claim predict one label for every row", f"`{line}`, and `{warning}`")


def test_one_task_of_two_on_which_both_arms_predict_one_label(call, capsys, record_fault):
    """Its 0 stays in the mean, and what the study says would be the same without it."""
    study(["a", "b"], "one", "two")
    predict_one_label("two", "*")
    claim, out, _ = judged(call, capsys, "one", "two")
    line = "On two both arms predict one label: its difference has no error."
    assert line in out
    assert claim["difference"] == claim["tasks"][0]["difference"] / 2
    assert [task.get("no_error") for task in claim["tasks"]] == [None, "both arms predict one label"]
    record_fault(KIND, "both arms predict one label on one of two tasks", f"it stays in the mean as 0; `{line}`")


def test_one_arm_that_predicts_one_label(call, capsys, record_fault):
    """The other arms have something to say, and the difference has an error."""
    study(["a", "b"], "tiny")
    predict_one_label("tiny", "cmi_min")
    claim, _, err = judged(call, capsys, "tiny")
    assert claim["verdict"] == "opposite"
    line, of_label = err.splitlines()
    assert line.startswith("warning: tiny: no run of teacher cmi_min beats the most frequent label of train (accuracy ")
    assert of_label == "warning: tiny: runs that predict one label for every test row: teacher cmi_min 5 of 5"
    record_fault(KIND, "no run of one arm beats the majority class", f"`{line}`")


def test_single_runs_that_predict_one_label(call, capsys, record_fault):
    """A line a task, however many arms have such runs."""
    study(["a", "b"], "one", "two")
    predict_one_label("two", "cmi_min", seeds="0")
    predict_one_label("two", "kd-*", seeds="[12]")
    _, _, err = judged(call, capsys, "one", "two")
    counts = "teacher cmi_min 1 of 5, student kd-ce 2 of 5, student kd-cmi_min 2 of 5"
    line = f"warning: two: runs that predict one label for every test row: {counts}"
    assert err == f"{line}\n"
    record_fault(KIND, "a run of five of one arm predicts one label for every row", f"`{line}`")


def test_a_metric_whose_name_ends_as_that_of_the_claim(call, capsys, record_fault):
    study(["a", "b"], "one", "two", metric="f1")
    for task, metrics in (("one", ["accuracy", "f1"]), ("two", ["accuracy", "macro_f1"])):
        path = DATA_FOLDER / task / SPLITS_FOLDER / "task.json"
        write_json(path, read_json(path) | {"metrics": metrics})
    claim, out, _ = judged(call, capsys, "one", "two")
    assert [(task["task"], task["metric"]) for task in claim["tasks"]] == [("one", "f1")]
    line = "These tasks do not measure f1 and are left out: two."
    assert line in out
    record_fault(KIND, "a claim in f1 over a task with f1 and one with macro_f1", f"`{line}`")


def test_a_reference_pair_that_is_not_there(tmp_path, monkeypatch, capsys, record_fault):
    monkeypatch.chdir(tmp_path)
    write_params(("evaluate.claims.kd_max.reference", {"family": "kd-none", "against": "plain"}))
    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as caught:
        stages.settings.main()
    line = capsys.readouterr().err.strip()
    assert (caught.value.code, line.splitlines()) == (1, [line])
    told = "evaluate.claims.kd_max.reference: unknown student arm or family 'kd-none'; allowed: plain, kd-ce, "
    assert told in line
    record_fault(KIND, "a claim whose reference names an arm that is not there", f"`{line}`")


def test_a_contrast_with_the_name_of_a_claim(tmp_path, monkeypatch, capsys, record_fault):
    monkeypatch.chdir(tmp_path)
    pooled = {key: CLAIM[key] for key in ("statement", "role", "direction", "worthwhile")} | {"combine": "mean"}
    pooled |= {"pairs": [["cmi_min", "ce"], ["cmi_max", "ce"]]}
    write_params(("evaluate.contrasts", {"kd_max": pooled}))
    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as caught:
        stages.evaluate.main()
    line = capsys.readouterr().err.strip()
    assert (caught.value.code, line.splitlines()) == (1, [line])
    assert line.startswith("error: params.yaml: evaluate.contrasts: not acceptable (got {'kd_max': ")
    assert line.endswith("; claims.json would have the key 'kd_max' twice: rename a claim or a contrast")
    assert not Path("metrics").exists()
    record_fault(KIND, "a contrast with the name of a claim", f"`{line}`")


@pytest.mark.parametrize("name", ["kd_max_verdict", "kd_interval", "alone_hangs_on", "claims", "warnings"])
def test_a_claim_whose_name_is_a_key_of_another(tmp_path, monkeypatch, capsys, record_fault, name):
    monkeypatch.chdir(tmp_path)
    write_params((f"evaluate.claims.{name}", CLAIM))
    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as caught:
        stages.evaluate.main()
    line = capsys.readouterr().err.strip()
    assert (caught.value.code, line.splitlines()) == (1, [line])
    assert line.endswith(f"; claims.json would have the key '{name}' twice: rename a claim or a contrast")
    record_fault(KIND, f"a claim called {name}", f"`{line}`")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("macro", "(got 'macro'); macro_f1 is a metric"),
        ("selection", "(got 'selection'); selection is a split of the task itself: use another name"),
    ],
)
def test_a_second_test_set_whose_name_the_task_has_already(tmp_path, monkeypatch, capsys, record_fault, name, told):
    monkeypatch.chdir(tmp_path)
    second = {"name": name, "source": "folder", "path": "more", "split": "test"}
    write_params(("task_settings.tiny", TINY | {"also_test": second}))
    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as caught:
        stages.evaluate.main()
    line = capsys.readouterr().err.strip()
    assert (caught.value.code, line.splitlines()) == (1, [line])
    assert f"task_settings.tiny.also_test.name: not acceptable {told}" in line
    record_fault(KIND, f"`also_test: {{name: {name}}}` on a task", f"`{line}`")
