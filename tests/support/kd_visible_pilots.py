"""The pilots of the study `kd-visible`, which choose its teacher: the rules of its page, fixed before the runs.

The last epoch is the one that is kept.
"""

from dataclasses import replace

import numpy as np

from src.study.statistics.row_values import PredictedRows, best_temperature, statistics_of
from tests.support.study_numbers import records
from tests.support.teacher_histories import Histories, last_epoch, last_ratio

TASKS = ("mnli-sample", "vader-nyt")
WEIGHTS = {"mcmi_1": -0.25, "mcmi_2": -0.5, "mcmi_3": -1.0}  # of the first pilot, the nearest to 0 first
CANDIDATES = ("early_1", "early_2", "early_3", "feature")  # of the second pilot, in the order of the rule
LEAST_RATIO = 2.0  # of class CMI on train rows, over that of `ce`
LEAST_CALIBRATED = 1.1  # of class CMI of calibrated outputs on selection rows, over that of `ce`
MOST_LOST = 0.05  # of the mean selection score


def weight_of_pilot(histories: Histories) -> float | None:
    """The weight nearest to 0 that raises CMI enough and costs little. None: no weight does."""
    return next((weight for arm, weight in WEIGHTS.items() if raises_cmi(histories, arm)), None)


def chosen_candidate(histories: Histories, calibrated_cmi: dict[str, dict[str, float]]) -> str | None:
    """The first candidate of the second pilot that raises CMI enough, costs little and is not just overconfident.

    Args:
        calibrated_cmi: class CMI of calibrated outputs on selection rows, by task and arm.
    """
    passing = (arm for arm in CANDIDATES if raises_cmi(histories, arm))
    return next((arm for arm in passing if calibrated_ratio(calibrated_cmi, arm) >= LEAST_CALIBRATED), None)


def raises_cmi(histories: Histories, arm: str) -> bool:
    """Whether an arm raises class CMI on train rows enough, and loses little of the selection score."""
    return cmi_ratio(histories, arm) >= LEAST_RATIO and score_lost(histories, arm) <= MOST_LOST


def cmi_ratio(histories: Histories, arm: str) -> float:
    """Class CMI on train rows after the last epoch, over that of `ce`."""
    return last_ratio(histories, "train_class_cmi", arm, "ce")


def calibrated_ratio(calibrated_cmi: dict[str, dict[str, float]], arm: str) -> float:
    """CMI of calibrated outputs over that of `ce`: a geometric mean over tasks."""
    return float(np.exp(np.mean([np.log(of_arms[arm] / of_arms["ce"]) for of_arms in calibrated_cmi.values()])))


def score_lost(histories: Histories, arm: str) -> float:
    """Selection accuracy of `ce` after the last epoch less that of an arm: a mean over seeds, then tasks."""
    scores = last_epoch(histories)["selection_accuracy"]
    lost = scores.xs("ce", level="arm") - scores.xs(arm, level="arm")
    return round(float(lost.groupby("task").mean().mean()), 9)  # so that a loss of just five points passes


def selection_rows(study: str, task: str) -> dict[str, PredictedRows]:
    """The selection rows as each teacher of a pilot predicts them. A pilot has one seed."""
    found = records(study, task)
    labels = found.split_labels("selection")
    of_all = found.logits("selection").items()
    return {arm: PredictedRows(labels, logits, None) for (role, arm, _), logits in of_all if role == "teacher"}


def calibrated(rows: PredictedRows) -> PredictedRows:
    """The rows with outputs at the temperature that fits their labels best."""
    return replace(rows, logits=rows.logits / best_temperature(rows))


def class_cmi(rows: PredictedRows) -> float:
    """Class CMI of rows, in nats."""
    return statistics_of([], has_humans=False, ece_bins=10)["class_cmi"](rows).value
