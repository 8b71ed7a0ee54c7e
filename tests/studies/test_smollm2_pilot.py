"""The unit of smollm2-glue, and the check of its weights, follow from its pilot by the rules of its page."""

from itertools import chain

import numpy as np
import pandas as pd
import pytest

from src.study.named.overrides import study_params
from tests.support.study_numbers import after, cells, committed, over_tasks, page_of, records
from tests.support.teacher_histories import teachers_of

PILOT, STUDY = "smollm2-glue-pilot", "smollm2-glue"
TASKS = ("sst2", "cola", "mrpc")


def percents(values: list[float]) -> list[str]:
    """Each task's share, and their mean."""
    return [f"{100 * value:.1f} %" for value in chain(values, [np.mean(values)])]


def larger_class() -> list[float]:
    labels = [records(PILOT, task).labels["selection"]["label"] for task in TASKS]
    return [of_task.value_counts(normalize=True).max() for of_task in labels]


def kept_accuracy(arm: str) -> list[float]:
    """Of the epoch that the run kept."""
    found = []
    for task, history in teachers_of(PILOT, TASKS).items():
        runs: pd.DataFrame = records(PILOT, task).runs
        [epoch] = runs[(runs["role"] == "teacher") & (runs["arm"] == arm)]["best_epoch"]
        [accuracy] = history[(history["arm"] == arm) & (history["epoch"] == epoch)]["selection_accuracy"]
        found.append(accuracy)
    return found


def test_the_unit_is_the_cmi_of_plain_fine_tuning():
    histories = teachers_of(PILOT, TASKS).values()
    means = [history[history["arm"] == "ce"]["train_feature_cmi"].mean() for history in histories]
    unit = float(f"{np.exp(np.mean(np.log(means))):.2g}")
    assert study_params(STUDY).objective.cmi_unit == unit == 0.36
    told = [f"{value:.2f}" for value in means]
    assert cells(page_of(STUDY), "`train_feature_cmi` of `ce`, mean over epochs, nats") == [
        *told,
        f"{unit} (geometric)",
    ]


@pytest.mark.parametrize("arm", ["ce", "cmi_min", "cmi_max"])
def test_each_teacher_of_the_pilot_is_above_the_larger_class_on_the_mean_over_tasks(arm):
    assert np.mean(kept_accuracy(arm)) > np.mean(larger_class())
    assert cells(page_of(STUDY), f"accuracy of `{arm}`") == percents(kept_accuracy(arm))
    assert cells(page_of(STUDY), "share of the larger class") == percents(larger_class())


def test_the_page_says_that_h_does_not_get_shorter():
    moved = committed(PILOT, "moved")
    cmi, length = (over_tasks(moved, "alone", "selection", f"feature_{name}")["value"] for name in ("cmi", "norm"))
    assert after(page_of(STUDY), "on selection rows, `cmi_min` has") == round(cmi, 2)
    assert after(page_of(STUDY), "times the CMI of `ce`, and") == round(length, 2)
