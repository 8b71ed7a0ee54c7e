"""The page of `mechanism` has the numbers of its tables and records, and the reading that follows from its verdicts."""

import numpy as np
import pandas as pd
import pytest

from src.study.claims.claims import without_task
from src.study.claims.moved import (
    CMI,
    LENGTH,
    OF_CLASS,
    PER_LENGTH,
    in_kept_epochs,
    manipulation,
    measures_of,
    moved_table,
)
from src.study.claims.tables import compared_task
from src.study.named.overrides import study_params
from src.study.records.scores import measured_task
from tests.support.mechanism_reading import label_matters, norm_is_matched, reading, unit_is_compact
from tests.support.study_numbers import (
    Arm,
    cells,
    claims,
    committed,
    of_one_label,
    over_tasks,
    page_of,
    points,
    records,
    rows,
    said,
    text,
)
from tests.support.teacher_histories import teachers_of

STUDY = "mechanism"
PAGE = page_of(STUDY)
DETAILS = "studies/mechanism/details.md"
TASKS = ("rte", "mnli-sample", "sst2", "mrpc")
CLAIM_OF = {"cmi_min": "alone"} | {arm: arm for arm in ("unit", "all", "norm", "centre", "smooth")}
LAST = 8
MOVED = [("test", CMI), ("test", LENGTH), ("test", PER_LENGTH), ("test", OF_CLASS)]
MOVED += [("train", CMI), ("train", PER_LENGTH), ("train", OF_CLASS)]  # the columns of the page


def moved() -> pd.DataFrame:
    return committed(STUDY, "moved")


def test_the_page_has_the_reading_of_its_verdicts():
    found = reading(claims(STUDY), norm_is_matched(teachers_of(STUDY, TASKS)), unit_is_compact(moved()))
    assert f"**The reading: {found}.**" in text(PAGE)
    assert not label_matters(claims(STUDY))


@pytest.mark.parametrize("name", ["alone", "norm", "above_norm", "all", "above_all", "above_centre", "smooth"])
def test_the_page_says_what_single_claims_found(name):
    assert points(claims(STUDY)[name]) in text(PAGE).split("## Results")[1]


def test_the_page_says_which_claims_are_left_after_holms_correction():
    left = {name: claim["p_holm"] for name, claim in claims(STUDY).items() if claim["p_holm"] < 0.05}
    *firsts, last = (f"`{name}` (p {left[name]:.3f})" for name in sorted(left, key=left.get))
    assert len(left) == 4
    assert f"four stay below 0.05: {', '.join(firsts)} and {last}." in text(PAGE)


def test_the_page_says_what_became_of_cmi_and_the_length_of_h():
    shape, output = line_of("alone", "test", PER_LENGTH), line_of("alone", "test", OF_CLASS)
    assert shape["low"] < 1 < shape["high"]
    assert output["low"] < 0 < output["high"]
    of_output = (
        moved().query("claim == 'alone' and split == 'test' and measure == @OF_CLASS").set_index("task")["value"]
    )
    assert of_output["rte"] > 0.1
    assert of_output["mnli-sample"] < -0.1
    assert line_of("above_norm", "train", PER_LENGTH)["high"] < 1
    assert line_of("all", "test", PER_LENGTH)["high"] < 1
    assert f"on test is {line_of('unit', 'test', PER_LENGTH)['value']:.2f} times that of `ce`" in text(PAGE)


def test_the_page_says_how_much_of_the_gain_without_the_label_comes_from_rte():
    arms = committed(STUDY, "arms").query("task == 'rte' and arm == 'ce' and metric == 'accuracy'")
    assert f"(accuracy {100 * arms['mean'].item():.1f} %)" in text(PAGE)
    gains = {row["task"]: row["difference"] for row in claims(STUDY)["all"]["tasks"]}
    assert 0.45 < gains["rte"] / sum(gains.values()) < 0.55


def test_no_teacher_predicts_one_label_for_all_rows():
    arms = ("ce", *CLAIM_OF)
    assert {of_one_label(Arm(STUDY, "teacher", arm), task) for arm in arms for task in TASKS} == {0}


@pytest.mark.parametrize("arm", CLAIM_OF)
def test_the_page_has_the_differences_on_each_task(arm):
    by_task = {row["task"]: said(row)[0] for row in claims(STUDY)[CLAIM_OF[arm]]["tasks"]}
    assert [by_task[task] for task in TASKS] in rows(PAGE, f"`{arm}`")


@pytest.mark.parametrize("name", [name for name in claims(STUDY) if not name.endswith("_auc")])
def test_the_page_has_how_far_cmi_moved(name):
    claim = claims(STUDY)[name]
    shown = {CMI: "{value:.2f} ({low:.2f} to {high:.2f})", OF_CLASS: "{value:+.3f} ({low:+.3f} to {high:+.3f})"}
    shown |= dict.fromkeys((LENGTH, PER_LENGTH), shown[CMI])
    told = [shown[measure].format(**line_of(name, split, measure)) for split, measure in MOVED]
    assert told == cells(PAGE, f"`{claim['family']}` to `{claim['against']}`")


def line_of(claim: str, split: str, measure: str) -> dict[str, float]:
    return over_tasks(moved(), claim, split, measure)


@pytest.mark.parametrize("epoch", ["last", "kept"])
def test_the_page_has_the_length_of_h_on_each_task(epoch):
    for arm, against in (("cmi_min", "ce"), ("norm", "ce"), ("norm", "cmi_min")):
        logs = [(lengths(task, epoch)[arm] - lengths(task, epoch)[against]).mean() for task in TASKS]
        told = [f"{np.exp(log):.2f}" for log in (*logs, np.mean(logs))]
        assert told in rows(DETAILS, f"`{arm}` over `{against}`, {epoch} epoch")
        if (arm, epoch) == ("norm", "kept") and against == "cmi_min":
            assert f"is {max(told[:-1])} times as long as under `cmi_min`, the largest ratio" in text(PAGE)
            assert max(told[:-1]) == told[TASKS.index("mnli-sample")]


def lengths(task: str, epoch: str) -> pd.DataFrame:
    """Logarithms of the length of h on selection rows: a line per seed, a column per arm."""
    found = records(STUDY, task)
    history = in_kept_epochs(found.runs, found.history) if epoch == "kept" else found.history.query("epoch == @LAST")
    wanted = history.query("role == 'teacher'")
    return np.log(wanted.pivot(index="seed", columns="arm", values="selection_feature_norm"))


def test_the_page_says_what_the_reading_is_without_each_task():
    params = study_params(STUDY)
    found = {task: records(STUDY, task) for task in TASKS}
    compared = {task: compared_task(measured_task(of, params.evaluate.ece_bins), {}) for task, of in found.items()}
    measures = {task: measures_of(compared[task].measured, of.history) for task, of in found.items()}
    checks = manipulation(params, compared, measures)
    for left_out in TASKS:
        rest = [task for task in TASKS if task != left_out]
        of_rest = {name: claim | without_task(claim, left_out) for name, claim in claims(STUDY).items()}
        unit = {"name": "unit", "tasks": [{"task": task} for task in rest]}
        compact = unit_is_compact(moved_table(checks, params.evaluate.claims, [unit]))
        told = reading(of_rest, norm_is_matched(teachers_of(STUDY, rest)), compact)
        whole = reading(claims(STUDY), norm_is_matched(teachers_of(STUDY, TASKS)), unit_is_compact(moved()))
        changed = f'Without `{left_out}`, the reading would be "{told}".'
        assert (changed in text(PAGE)) == (told != whole)
