"""The reading of the study `mechanism`: the table of its page, and the points that were added while it ran."""

import pandas as pd

from src.study.claims.moved import PER_LENGTH
from src.study.claims.verdicts import OPPOSITE
from tests.support.claim_readings import Claims, gains_nothing_worthwhile, holds
from tests.support.study_numbers import over_tasks
from tests.support.teacher_histories import Histories, last_ratio

NOT_SEEN = "the gain of earlier studies was not seen again"
COMPACT = "compact classes help"
LENGTH = "regularising the length of h helps; compact classes are not the reason"
WITHOUT_LABEL = "a loss without the label helps"
OPEN = "the reason cannot be told at this size"

LEAST_MATCHED, MOST_MATCHED = 0.9, 1.1  # the length of h under norm, over that under cmi_min


def reading(claims: Claims, matched: bool, compact: bool) -> str:
    """What the study says, in the words of its page.

    Args:
        matched: from `norm_is_matched`.
        compact: from `unit_is_compact`.
    """
    unit, norm, without_label = claims["unit"], claims["norm"], claims["all"]
    if not holds(claims["alone"]):
        return NOT_SEEN
    if not (matched and compact):
        return OPEN
    if holds(unit) and gains_nothing_worthwhile(norm) and gains_nothing_worthwhile(without_label):
        return COMPACT if holds(claims["unit_norm"]) and not holds(claims["above_unit"]) else OPEN
    if gains_nothing_worthwhile(unit) and holds(norm):
        return LENGTH if claims["unit_norm"]["verdict"] == OPPOSITE and not holds(claims["above_norm"]) else OPEN
    if gains_nothing_worthwhile(unit) and gains_nothing_worthwhile(norm) and holds(without_label):
        return WITHOUT_LABEL if not holds(claims["above_all"]) else OPEN
    return OPEN


def label_matters(claims: Claims) -> bool:
    """Whether the label in CMI matters. Nobody can tell if CMI-min does not help, or if `all` harms."""
    return holds(claims["alone"]) and holds(claims["above_all"]) and claims["all"]["verdict"] != OPPOSITE


def norm_is_matched(histories: Histories) -> bool:
    """Whether h is about as short under `norm` as under `cmi_min`, on selection rows after the last epoch."""
    return LEAST_MATCHED <= last_ratio(histories, "selection_feature_norm", "norm", "cmi_min") <= MOST_MATCHED


def unit_is_compact(moved: pd.DataFrame) -> bool:
    """Whether `unit` lowers CMI per squared length on test: the interval of the ratio to `ce` lies below 1.

    Args:
        moved: the study's moved.csv.
    """
    return over_tasks(moved, "unit", "test", PER_LENGTH)["high"] < 1
