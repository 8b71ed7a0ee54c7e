"""The reading of the study `mechanism`: the table of its page, and the points that were added while it ran."""

from typing import Any

import numpy as np
import pandas as pd

from src.study.claims.moved import PER_LENGTH
from src.study.claims.verdicts import CANNOT_BE_TOLD, HOLDS, OPPOSITE
from tests.support.study_numbers import over_tasks_ratio

NOT_SEEN = "the gain of earlier studies was not seen again"
COMPACT = "compact classes help"
LENGTH = "regularising the length of h helps; compact classes are not the reason"
WITHOUT_LABEL = "a loss without the label helps"
OPEN = "the reason cannot be told at this size"

LEAST_MATCHED, MOST_MATCHED = 0.9, 1.1  # the length of h under norm, over that under cmi_min

Claims = dict[str, dict[str, Any]]  # by name, as in claims.json


def reading(claims: Claims, matched: bool, compact: bool) -> str:
    """What the study says, in the words of its page.

    Args:
        matched: from `norm_is_matched`.
        compact: from `unit_is_compact`.
    """
    unit, norm, without_label = claims["unit"], claims["norm"], claims["all"]
    if not helps(claims["alone"]):
        return NOT_SEEN
    if not (matched and compact):
        return OPEN
    if helps(unit) and does_not_help(norm) and does_not_help(without_label):
        return COMPACT if helps(claims["unit_norm"]) and not helps(claims["above_unit"]) else OPEN
    if does_not_help(unit) and helps(norm):
        return LENGTH if claims["unit_norm"]["verdict"] == OPPOSITE and not helps(claims["above_norm"]) else OPEN
    if does_not_help(unit) and does_not_help(norm) and helps(without_label):
        return WITHOUT_LABEL if not helps(claims["above_all"]) else OPEN
    return OPEN


def label_matters(claims: Claims) -> bool:
    """Whether the label in CMI matters. Nobody can tell if CMI-min does not help, or if `all` harms."""
    return helps(claims["alone"]) and helps(claims["above_all"]) and claims["all"]["verdict"] != OPPOSITE


def helps(claim: dict[str, Any]) -> bool:
    return claim["verdict"] == HOLDS


def does_not_help(claim: dict[str, Any]) -> bool:
    """Whether the whole interval lies below a worthwhile gain, and the verdict is not open."""
    return claim["verdict"] not in (HOLDS, CANNOT_BE_TOLD) and claim["high"] < claim["worthwhile"]


def norm_is_matched(histories: dict[str, pd.DataFrame], last_epoch: int) -> bool:
    """Whether h is about as short under `norm` as under `cmi_min`.

    Args:
        histories: the teachers' history.csv of each task; selection rows are measured.
    """
    last = pd.concat(histories, names=["task"]).query("epoch == @last_epoch")
    logs = np.log(last.set_index(["arm", "seed"], append=True).droplevel(1)["selection_feature_norm"])
    ratio, _, _ = over_tasks_ratio(logs.xs("norm", level="arm") - logs.xs("cmi_min", level="arm"))
    return LEAST_MATCHED <= ratio <= MOST_MATCHED


def unit_is_compact(moved: pd.DataFrame) -> bool:
    """Whether `unit` lowers CMI per squared length on test: the interval of the ratio to `ce` lies below 1.

    Args:
        moved: the study's moved.csv.
    """
    lines = moved[(moved["claim"] == "unit") & (moved["split"] == "test") & moved["task"].isna()]
    [line] = lines[lines["measure"] == PER_LENGTH].to_dict("records")
    return line["high"] < 1
