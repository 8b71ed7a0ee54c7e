"""`stages.compare`: two arms of the studies in git differ as their pages say; what has no comparison is refused."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stages.collect
import stages.compare
from src.params import load_params
from src.study.named.across import StudyArm, difference
from src.study.records.scores import measured_task
from src.study.records.task_records import load_records
from tests.conftest import REPOSITORY
from tests.support.study_numbers import CHOSEN, FIXED, RATES, cells, page_of, rows
from tests.support.synthetic_study import make_study

SMOOTH = [f"{CHOSEN}/teacher/{arm}" for arm in ("cmi_min", "smooth")]


@pytest.fixture
def compare(monkeypatch, capsys) -> Callable[..., list[str]]:
    def call(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["compare", *arguments])
        stages.compare.main()
        return capsys.readouterr().out.splitlines()

    return call


@pytest.mark.parametrize(
    ("arguments", "study", "label"),
    [
        (
            (f"{RATES}/teacher/cmi_min_2", f"{FIXED}/teacher/ce"),
            RATES,
            "CMI-min with eight epochs at 1e-4 against plain with six at 1e-4",
        ),
        ((f"{FIXED}/teacher/ce", f"{RATES}/teacher/ce_2"), RATES, "plain, six epochs against eight, 1e-4"),
    ],
)
def test_it_prints_the_rows_of_the_pages(compare, monkeypatch, arguments, study, label):
    monkeypatch.chdir(REPOSITORY)
    first, *tasks, last = compare(*arguments, "--without", "wnli")
    assert first == f"{arguments[0]} minus {arguments[1]} on test rows: mean in points, 95 % interval"
    assert len(tasks) == 7
    assert last.startswith("mean over 7 tasks: ")
    found, told = (re.findall(r"[+-][\d.]+", line) for line in (last, " ".join(cells(page_of(study), label))))
    assert found[:3] == told


def test_it_prints_two_digits_so_that_an_end_near_0_keeps_its_sign(compare, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    *_, last = compare(*SMOOTH, "--without", "wnli")
    [_, (mean, interval)] = rows(page_of(CHOSEN), "CMI-min teacher against label smoothing")
    assert last == f"mean over 7 tasks: {mean} ({interval}), p 0.061"
    assert interval == "-0.04 to +1.77"


def test_it_takes_another_metric(compare, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    *_, sst2, last = compare(*SMOOTH, "--without", "wnli", "--metric", "auc")
    assert sst2 == "  sst2 (auc, 5 seeds): +0.90 (+0.29 to +1.50), p 0.009"
    assert last == "mean over 7 tasks: +1.66 (+0.95 to +2.36), p < 0.001"
    assert compare(*SMOOTH, "--metric", "nll")[0].endswith(": mean in nats, 95 % interval; lower is better")


def test_two_seeds_have_no_interval(compare, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    *_, last = compare("default/teacher/cmi_min", "default/teacher/ce")
    assert last == "mean over 1 task: +0.60, without an interval (fewer than five seeds)"


def test_a_task_without_error_is_named(monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    arms = "glue-minilm-class/student/kd-class_max_1", "glue-minilm-class/student/plain"
    monkeypatch.setattr(sys, "argv", ["compare", *arms])
    stages.compare.main()
    assert capsys.readouterr().err == ("warning: the error on wnli is 0, so the interval over tasks is too narrow\n")


@pytest.fixture
def one_document(two_studies) -> None:
    """All test rows of one of them lie in one document, so they count as one independent row."""
    path = Path("metrics/again/records/tiny/test_labels.parquet")
    load_records("again", "tiny").labels["test"].assign(cluster=0).to_parquet(path)


def test_rows_of_one_document_have_no_interval(one_document, compare):
    *_, last = compare("again/teacher/cmi_min", "again/teacher/ce")
    assert last.endswith("without an interval (test rows count as fewer than two independent ones)")


@pytest.fixture
def two_studies(tmp_path, monkeypatch) -> Path:
    """The records of a study of six seeds, and the same again as another study."""
    monkeypatch.chdir(tmp_path)
    make_study(["a", "b"], ["ce", "cmi_min"], seeds=6)
    monkeypatch.setattr(sys, "argv", ["collect", "--task", "tiny"])
    stages.collect.main()
    shutil.copytree("metrics/made", "metrics/again")
    return tmp_path


def test_within_a_study_it_is_the_difference_of_the_tables_and_between_equal_studies_nothing(two_studies):
    made = measured_task(load_records("made", "tiny"), load_params().evaluate.ece_bins)
    expected = made.metrics["accuracy"].estimate(made.lines["teacher", "cmi_min"], made.lines["teacher", "ce"])
    for other in ("made", "again"):
        found = difference("tiny", StudyArm("made", "teacher", "cmi_min"), StudyArm(other, "teacher", "ce"))
        assert (found.metric, found.seeds, found.found) == ("accuracy", 6, expected)
    same = difference("tiny", StudyArm("made", "teacher", "ce"), StudyArm("again", "teacher", "ce"), "nll").found
    assert (same.mean, same.standard_error, same.p) == (0.0, 0.0, 1.0)


def test_the_difference_turned_round_is_the_same_where_one_study_knows_the_clusters(two_studies):
    labels = load_records("again", "tiny").labels["test"]
    path = Path("metrics/again/records/tiny/test_labels.parquet")
    labels.assign(cluster=[number // 3 for number in range(len(labels))]).to_parquet(path)
    minimised, plain = StudyArm("made", "teacher", "cmi_min"), StudyArm("again", "teacher", "ce")
    one, other = (difference("tiny", *arms).found for arms in ((minimised, plain), (plain, minimised)))
    assert (one.mean, one.standard_error, one.freedom) == (-other.mean, other.standard_error, other.freedom)
    alone = difference("tiny", minimised, StudyArm("made", "teacher", "ce")).found
    assert one.standard_error != alone.standard_error


def other_rows() -> None:
    table = load_records("again", "tiny").labels["test"]
    table.assign(label=1 - table["label"]).to_parquet(Path("metrics/again/records/tiny/test_labels.parquet"))


def in_task_json(change: Callable[[dict[str, Any]], object]) -> Callable[[], None]:
    def write() -> None:
        path = Path("metrics/again/records/tiny/task.json")
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return write


def other_seeds() -> None:
    records = load_records("again", "tiny")
    for name, table in (("runs.csv", records.runs), ("predictions.parquet", records.predictions)):
        path = Path("metrics/again/records/tiny") / name
        table = table.assign(seed=table["seed"] + 9)
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)


DIFFERENT_ROWS = "task tiny: made and again have different test rows; leave the task out with --without"
MADE, AGAIN = "made/teacher/cmi_min", "again/teacher/ce"


@pytest.mark.parametrize(
    ("arguments", "change", "told"),
    [
        (["made/ce", AGAIN], None, "made/ce: is not the name of an arm; write STUDY/ROLE/ARM, such as "),
        (["./teacher/ce", AGAIN], None, "./teacher/ce: is not the name of an arm; write STUDY/ROLE/ARM, such as "),
        (["none/teacher/ce", AGAIN], None, "study none: has no records; allowed: again, made"),
        (["made/teacher/cmi_mni", AGAIN], None, "made/teacher/cmi_mni: no such arm on task tiny; allowed: teacher/ce"),
        ([MADE, AGAIN, "--metric", "f2"], None, "--metric f2: is no metric of task tiny; allowed: accuracy, auc, nll"),
        ([MADE, AGAIN, "--metric", "ece"], None, "--metric ece: is no metric of task tiny; allowed: accuracy, auc"),
        ([MADE, AGAIN, "--without", "tin"], None, "--without tin: the studies do not share this task; allowed: tiny"),
        ([MADE, AGAIN, "--without", "tiny"], None, "--without: leaves out all shared tasks; keep one of tiny"),
        ([MADE, AGAIN], other_rows, DIFFERENT_ROWS),
        ([MADE, AGAIN], in_task_json(lambda content: content["label_names"].reverse()), DIFFERENT_ROWS),
        (
            [MADE, AGAIN],
            in_task_json(lambda content: content["splits"]["test"].update(sha256="another")),
            DIFFERENT_ROWS,
        ),
        (
            [MADE, AGAIN],
            in_task_json(lambda content: content.update(metrics=["macro_f1"])),
            "task tiny: the studies have different first metrics (accuracy, macro_f1); name one with --metric",
        ),
        (
            [MADE, AGAIN],
            in_task_json(lambda content: content.update(folds=5)),
            "task tiny: each seed tests another fold; add the pair to evaluate.pairs of the study, or leave",
        ),
        ([MADE, AGAIN], other_seeds, f"task tiny: {MADE} and {AGAIN} share no seed; name other arms, or leave the"),
    ],
)
def test_what_cannot_be_compared_is_one_line(two_studies, monkeypatch, capsys, arguments, change, told):
    if change:
        change()
    monkeypatch.setattr(sys, "argv", ["compare", *arguments])
    with pytest.raises(SystemExit) as end:
        stages.compare.main()
    assert end.value.code == 1
    line = capsys.readouterr().err
    assert line.startswith(f"error: {told}")
    assert line.count("\n") == 1
