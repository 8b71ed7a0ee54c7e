"""`stages.compare`: two arms of the studies in git differ as their pages say; what has no comparison is refused."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stages.collect
import stages.compare
from src.params import load_params
from src.study.records.across import StudyArm, difference
from src.study.records.scores import measured_task
from src.study.records.task_records import load_records
from tests.conftest import REPOSITORY
from tests.support.study_numbers import CHOSEN, FIXED, RATES, cells, page_of
from tests.support.synthetic_study import make_study


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
    assert first == f"{arguments[0]} minus {arguments[1]} on test rows, points, with 95 % intervals"
    assert len(tasks) == 7
    assert last.startswith("mean over 7 tasks: {} ({}), p 0.".format(*cells(page_of(study), label)))


def test_it_takes_another_metric(compare, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    arms = [f"{CHOSEN}/teacher/{arm}" for arm in ("cmi_min", "smooth")]
    *_, sst2, last = compare(*arms, "--without", "wnli", "--metric", "auc")
    assert sst2 == "  sst2 (auc, 5 seeds): +0.9 (+0.3 to +1.5), p 0.009"
    assert last == "mean over 7 tasks: +1.7 (+0.9 to +2.4), p < 0.001"


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


def other_rows() -> None:
    path = Path("metrics/again/records/tiny/test_labels.parquet")
    table = load_records("again", "tiny").labels["test"]
    table.assign(label=1 - table["label"]).to_parquet(path)


def other_seeds() -> None:
    path = Path("metrics/again/records/tiny/runs.csv")
    records = load_records("again", "tiny")
    records.runs.assign(seed=records.runs["seed"] + 9).to_csv(path, index=False)
    path = Path("metrics/again/records/tiny/predictions.parquet")
    records.predictions.assign(seed=records.predictions["seed"] + 9).to_parquet(path)


MADE, AGAIN = "made/teacher/cmi_min", "again/teacher/ce"


@pytest.mark.parametrize(
    ("arguments", "change", "told"),
    [
        (["made/ce", AGAIN], None, "made/ce: is not the name of an arm; write STUDY/ROLE/ARM, such as "),
        (["none/teacher/ce", AGAIN], None, "metrics/none/records: holds no records; run `make repro`"),
        (
            ["made/teacher/cmi_mni", AGAIN],
            None,
            "made/teacher/cmi_mni: no such arm on task tiny; allowed: teacher/ce",
        ),
        (
            [MADE, AGAIN, "--metric", "f2"],
            None,
            "--metric f2: is no metric of tiny; allowed: accuracy, auc, nll",
        ),
        ([MADE, AGAIN, "--without", "tin"], None, "--without tin: is no task of both studies; allowed: tiny"),
        ([MADE, AGAIN, "--without", "tiny"], None, "--without: leaves no task; leave out fewer tasks"),
        (
            [MADE, AGAIN],
            other_rows,
            "task tiny: made and again have other test rows; leave the task out",
        ),
        (
            [MADE, AGAIN],
            other_seeds,
            f"task tiny: {MADE} and {AGAIN} share no seed; name arms with runs of",
        ),
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
