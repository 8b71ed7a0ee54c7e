"""The rules that choose the teacher of `kd-visible`, and what its pilots found."""

from functools import cache

import pandas as pd
import pytest

from src.study.named.overrides import study_params
from src.study.statistics.row_values import best_temperature
from tests.support.kd_visible_pilots import (
    CANDIDATES,
    TASKS,
    WEIGHTS,
    calibrated,
    calibrated_ratio,
    chosen_candidate,
    class_cmi,
    cmi_ratio,
    raises_cmi,
    score_lost,
    selection_rows,
    weight_of_pilot,
)
from tests.support.study_numbers import committed, page_of, rows, text
from tests.support.teacher_histories import last_epoch, teachers_of

PAGE = page_of("kd-visible")
FIRST, SECOND = "kd-visible-pilot", "kd-visible-pilot-2"
ROWS = {"ce": "`ce`"} | {arm: f"{weight:g}" for arm, weight in WEIGHTS.items()}
LAST = 9
GIVEN = {"ce": (0.1, 0.80), "mcmi_1": (0.15, 0.80), "mcmi_2": (0.21, 0.78), "mcmi_3": (0.4, 0.70)}


def histories(first: dict[str, tuple[float, float]], second: dict[str, tuple[float, float]] = GIVEN) -> dict:
    """Two tasks. In every epoch but the last one, CMI and score are 1."""
    return {
        task: pd.DataFrame(
            {"arm": arm, "seed": 100, "epoch": epoch}
            | dict.fromkeys(("train_class_cmi", "selection_accuracy"), 1.0)
            | (dict(zip(("train_class_cmi", "selection_accuracy"), values, strict=True)) if epoch == LAST else {})
            for arm, values in arms.items()
            for epoch in (1, LAST)
        )
        for task, arms in {"one": first, "two": second}.items()
    }


def test_the_ratio_of_cmi_is_a_geometric_mean_and_the_lost_score_a_plain_one():
    """sqrt(2.1 x 1.2) = 1.5875; (2 + 6) / 2 = 4 points."""
    found = histories(GIVEN | {"mcmi_2": (0.12, 0.74)})
    assert cmi_ratio(found, "mcmi_2") == pytest.approx(1.5875, abs=1e-4)
    assert score_lost(found, "mcmi_2") == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, -0.5),
        ({"mcmi_1": (0.28, 0.80)}, -0.25),
        ({"mcmi_1": (0.28, 0.60)}, -0.5),
        ({"mcmi_2": (0.18, 0.78), "mcmi_3": (0.4, 0.80)}, -1.0),
        ({"mcmi_2": (0.18, 0.78)}, None),
    ],
)
def test_the_pilot_takes_the_weight_nearest_to_0_that_passes(changed, expected):
    assert weight_of_pilot(histories(GIVEN | changed)) == expected


def test_the_weights_are_those_of_the_pilot():
    arms = study_params("kd-visible-pilot").finetune.arms
    assert {arm: arms[arm].cmi_weight for arm in WEIGHTS} == WEIGHTS
    training = study_params("kd-visible-pilot").finetune.training
    assert training.plain_epochs + training.epochs == LAST


RAISED = {"early_1": (0.3, 0.80), "early_2": (0.3, 0.78)} | dict.fromkeys(("early_3", "feature"), (0.1, 0.8))


@pytest.mark.parametrize(("second", "expected"), [(0.26, "early_2"), (0.24, None)])
def test_the_second_pilot_takes_no_teacher_that_may_be_only_overconfident(second, expected):
    """Calibrated, `early_1` has no more CMI than `ce`. sqrt(1.0 x 1.3) = 1.14 and sqrt(1.0 x 1.2) = 1.095."""
    found = histories({"ce": (0.1, 0.80)} | RAISED, {"ce": (0.1, 0.80)} | RAISED)
    same = dict.fromkeys(("ce", *CANDIDATES), 0.2)
    assert chosen_candidate(found, {"one": same, "two": same | {"early_2": second}}) == expected


def test_the_candidates_are_those_of_the_second_pilot():
    params = study_params("kd-visible-pilot-2")
    assert list(params.finetune.arms) == ["ce", *CANDIDATES]
    assert (params.finetune.training.plain_epochs, params.finetune.training.epochs) == (0, 6)


def test_the_page_has_the_rules():
    page = text(PAGE)
    assert "may lose more than 5 points" in page
    assert "at least twice that of `ce`" in page


def test_no_weight_of_the_first_pilot_passes():
    assert weight_of_pilot(teachers_of(FIRST, TASKS)) is None
    assert "**No weight passes, so this recipe is dropped.**" in text(PAGE)


@pytest.mark.parametrize("arm", WEIGHTS)
def test_the_page_has_how_far_the_first_pilot_moved_cmi_and_the_score(arm):
    assert told_of_cmi_and_score(FIRST, arm) in rows(PAGE, ROWS[arm])


def told_of_cmi_and_score(pilot: str, arm: str) -> list[str]:
    """CMI on train rows over that of `ce`, and the gain of the selection score: of each task, then of both."""
    found = teachers_of(pilot, TASKS)
    of_task = [{task: found[task]} for task in TASKS]
    ratios = [cmi_ratio(teachers, arm) for teachers in (*of_task, found)]
    gained = [0 - score_lost(teachers, arm) for teachers in (*of_task, found)]
    return [f"{ratio:.2f}" for ratio in ratios] + [f"{100 * points:+.1f}" for points in gained]


@pytest.mark.parametrize("arm", ROWS)
def test_the_page_has_the_cmi_of_the_first_pilot_on_selection_rows(arm):
    of_tasks = [selection_rows(FIRST, task)[arm] for task in TASKS]
    told = [f"{best_temperature(found):.2f}" for found in of_tasks]
    told += [f"{class_cmi(found):.3f}" for found in (*of_tasks, *map(calibrated, of_tasks))]
    assert told in rows(PAGE, ROWS[arm])


def test_the_page_has_the_cmi_of_plain_fine_tuning_in_the_first_pilot():
    cmi = last_epoch(teachers_of(FIRST, TASKS))["train_class_cmi"].xs("ce", level="arm").droplevel("seed")
    assert f"`ce` has a CMI of {cmi[TASKS[0]]:.3f} and {cmi[TASKS[1]]:.3f} nats" in text(PAGE)


@cache
def calibrated_cmi() -> dict[str, dict[str, float]]:
    """By task and arm, in the second pilot."""
    return {
        task: {arm: class_cmi(calibrated(found)) for arm, found in selection_rows(SECOND, task).items()}
        for task in TASKS
    }


def test_no_teacher_of_the_second_pilot_passes():
    assert chosen_candidate(teachers_of(SECOND, TASKS), calibrated_cmi()) is None
    assert "**No teacher passes, so the study does not run in this form.**" in text(PAGE)
    assert [arm for arm in CANDIDATES if raises_cmi(teachers_of(SECOND, TASKS), arm)] == ["early_3"]


@pytest.mark.parametrize("arm", CANDIDATES)
def test_the_page_has_what_the_second_pilot_found(arm):
    of_task = [{task: arms} for task, arms in calibrated_cmi().items()]
    ratios = [calibrated_ratio(arms, arm) for arms in (*of_task, calibrated_cmi())]
    told = [*told_of_cmi_and_score(SECOND, arm), *(f"{ratio:.2f}" for ratio in ratios)]
    assert told in rows(PAGE, f"`{arm}`")


def test_the_page_has_the_scores_of_the_first_pilots_students():
    arms = committed(FIRST, "arms").query("metric == 'accuracy'").set_index(["task", "arm"])["mean"]
    gains = [100 * (arms[task, "kd-ce"] - arms[task, "plain"]) for task in TASKS]
    assert "scored {:.1f} (`mnli-sample`) and {:.1f} points (`vader-nyt`)".format(*gains) in text(PAGE)
    teachers, students = ([100 * arms["mnli-sample", f"{kind}{arm}"] for arm in ROWS] for kind in ("", "kd-"))
    assert f"within {max(teachers) - min(teachers):.1f} points of each other" in text(PAGE)
    assert f"from {min(students):.1f} % to {max(students):.1f} %" in text(PAGE)


def test_kd_confident_says_how_late_the_first_pilots_students_were_best():
    best = committed(FIRST, "runs").query("arm.str.startswith('kd-')")["best_epoch"]
    told = f"selection chose epoch 5 or 6 of six for {(best >= 5).sum()} of the {len(best)} distilled students"
    assert told in text(page_of("kd-confident"))


def test_the_page_says_that_cmi_rose_with_the_best_temperature_in_the_second_pilot():
    of_tasks = [selection_rows(SECOND, task) for task in TASKS]
    told = [f"{class_cmi(arms['early_3']) / class_cmi(arms['ce']):.2f}" for arms in of_tasks]
    assert "it rose to {} and {} times".format(*told) in text(PAGE)
    fitted = [[best_temperature(arms[arm]) for arm in ("ce", "early_3")] for arms in of_tasks]
    first, second = (f"from {plain:.2f} to {own:.2f}" for plain, own in fitted)
    assert f"{first} and {second}" in text(PAGE)
