"""The rules of the study `kd-visible`: the weight of its pilot, its check of CMI and its reading."""

from typing import Any

import numpy as np
import pandas as pd

from src.study.claims.moved import OF_CLASS
from src.study.claims.verdicts import DOES_NOT_HOLD, HOLDS, OPPOSITE
from tests.support.study_numbers import over_tasks_ratio

WEIGHTS = {"mcmi_1": -0.25, "mcmi_2": -0.5, "mcmi_3": -1.0}  # of the pilot, the nearest to 0 first
LAST = 9  # the last epoch
LEAST_RATIO_OF_PILOT, LEAST_RATIO = 2.0, 1.5  # of class CMI on train rows, over that of `ce`
MOST_LOST = 0.05  # of the mean selection score
LEAST_GAIN = 0.02  # of `kd-ce` over `plain`

NOT_SEEN = "claim 2 cannot be seen here"
NOT_MOVED = "CMI did not rise enough for a claim about it"
DOES_NOT = "claim 2 does not hold here"
HOLDS_CALIBRATED = "claim 2 holds here, also between calibrated teachers"
HOLDS_ONLY = "claim 2 holds here; between calibrated teachers it is not shown"
OPEN = "claim 2 cannot be told at this size"

Histories = dict[str, pd.DataFrame]  # the teachers' history.csv of each task


def weight_of_pilot(histories: Histories) -> float | None:
    """The weight nearest to 0 that raises CMI enough and costs little. None: no weight does."""
    for arm, weight in WEIGHTS.items():
        raised = cmi_ratio(histories, arm) >= LEAST_RATIO_OF_PILOT
        if raised and score_lost(histories, arm) <= MOST_LOST:
            return weight
    return None


def cmi_ratio(histories: Histories, arm: str) -> float:
    """Class CMI on train rows after the last epoch, over that of `ce`: a geometric mean over seeds, then tasks."""
    logs = np.log(last_epoch(histories)["train_class_cmi"])
    ratio, _, _ = over_tasks_ratio(logs.xs(arm, level="arm") - logs.xs("ce", level="arm"))
    return ratio


def score_lost(histories: Histories, arm: str) -> float:
    """Selection accuracy of `ce` after the last epoch less that of an arm: a mean over seeds, then tasks."""
    scores = last_epoch(histories)["selection_accuracy"]
    lost = scores.xs("ce", level="arm") - scores.xs(arm, level="arm")
    return round(float(lost.groupby("task").mean().mean()), 9)  # so that a loss of just five points passes


def last_epoch(histories: Histories) -> pd.DataFrame:
    """The last epoch of each teacher, indexed by task, arm and seed."""
    found = pd.concat(histories, names=["task"]).query("epoch == @LAST")
    return found.set_index(["arm", "seed"], append=True).droplevel(1)


def rose_on_selection(moved: pd.DataFrame) -> bool:
    """Whether the teachers' class CMI rose on selection rows too, with its whole interval over tasks.

    Args:
        moved: the study's moved.csv.
    """
    lines = moved[(moved["claim"] == "kd_max") & (moved["role"] == "teacher") & moved["task"].isna()]
    [line] = lines[(lines["split"] == "selection") & (lines["measure"] == OF_CLASS)].to_dict("records")
    return line["low"] > 0


def reading(claims: dict[str, dict[str, Any]], ratio: float, rose: bool) -> str:
    """What the study says, in the words of its page.

    Args:
        claims: by name, as in claims.json.
        ratio: from `cmi_ratio` of `mcmi`.
        rose: from `rose_on_selection`.
    """
    verdicts = {name: claim["verdict"] for name, claim in claims.items()}
    if verdicts["seen"] != HOLDS or claims["seen"]["difference"] < LEAST_GAIN:
        return NOT_SEEN
    if ratio < LEAST_RATIO or not rose:
        return NOT_MOVED
    if verdicts["kd_max"] in (DOES_NOT_HOLD, OPPOSITE):
        return DOES_NOT
    if verdicts["kd_max"] != HOLDS:
        return OPEN
    return HOLDS_CALIBRATED if verdicts["both_calibrated"] == HOLDS else HOLDS_ONLY
