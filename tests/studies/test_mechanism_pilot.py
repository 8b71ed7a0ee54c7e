"""The two weights of the study mechanism follow from the pilot's records by the rule of its page."""

import numpy as np
import pandas as pd

from src.study.named.overrides import study_params
from tests.conftest import REPOSITORY
from tests.support.study_numbers import cells
from tests.support.teacher_histories import teachers_of

TASKS = ("sst2", "mnli-sample")
LAST = 8
PAGE = "studies/mechanism/details.md"
PENALTIES = {"norm_5": 0.0003, "norm_4": 0.0008, "norm_1": 0.002, "norm_2": 0.005, "norm_3": 0.0125}


def history(task: str) -> pd.DataFrame:
    return teachers_of("mechanism-pilot", TASKS)[task].set_index(["arm", "epoch"])


def length(task: str, arm: str) -> float:
    """Over that of plain fine-tuning, on selection after the last epoch."""
    lengths = history(task)["selection_feature_norm"]
    return float(lengths[arm, LAST] / lengths["ce", LAST])


def two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def test_the_penalty_makes_h_as_short_as_cmi_min_does():
    logs = {arm: np.mean([np.log(length(task, arm)) for task in TASKS]) for arm in (*PENALTIES, "cmi_min")}
    shorter = [-logs[arm] for arm in PENALTIES]
    weight = np.exp(np.interp(-logs["cmi_min"], shorter[:2], np.log([0.0003, 0.0008])))
    assert shorter[0] < -logs["cmi_min"] < shorter[1]
    arms = study_params("mechanism").finetune.arms
    assert arms["norm"].norm_penalty == two_digits(weight) == 0.0004


def test_the_unit_gives_both_terms_the_same_share_of_the_loss():
    means = {task: history(task)["loss_cmi"].groupby("arm").mean() for task in TASKS}
    ratios = [means[task]["ce"] / means[task]["ce_plain"] for task in TASKS]
    unit = float(np.exp(np.mean(np.log(ratios))))
    assert study_params("mechanism").finetune.arms["unit"].cmi_unit == two_digits(unit) == 6.1
    assert cells(PAGE, "CMI term of the unit map over that of softmax") == [f"{ratio:.1f}" for ratio in ratios]


def test_the_term_of_the_unit_map_falls_faster():
    unit = study_params("mechanism").finetune.arms["unit"].cmi_unit
    for task, told in zip(TASKS, ("18 0.16", "24 0.21"), strict=True):
        loss = history(task)["loss_cmi"]
        first, last = (loss["ce", epoch] / unit / loss["ce_plain", epoch] for epoch in (1, LAST))
        assert f"{first:.0f} {last:.2f}" == told
    page = (REPOSITORY / PAGE).read_text()
    assert "18 and 24 times the term" in page
    assert "0.16 and 0.21 times" in page


def test_the_page_has_the_lengths_of_the_pilot():
    rows = {"cmi_min": "`cmi_min`, weight 5"}
    rows |= {arm: f"`norm`, weight {weight:g}" for arm, weight in PENALTIES.items() if weight < 0.005}
    for arm, name in rows.items():
        lengths = [length(task, arm) for task in TASKS]
        lengths.append(float(np.exp(np.mean(np.log(lengths)))))
        assert cells(PAGE, name) == [f"{value:.3f}" for value in lengths]
