"""The checks and the reading of the study `kd-visible`: the rules of its page, fixed before its runs."""

from typing import Any

import pandas as pd

from src.study.claims.moved import OF_CLASS
from src.study.claims.verdicts import DOES_NOT_HOLD, HOLDS, OPPOSITE

LEAST_RATIO = 1.5  # of class CMI on train rows, over that of `ce`
LEAST_GAIN = 0.02  # of `kd-ce` over `plain`

NOT_SEEN = "claim 2 cannot be seen here"
NOT_MOVED = "CMI did not rise enough for a claim about it"
DOES_NOT = "claim 2 does not hold here"
HOLDS_CALIBRATED = "claim 2 holds here, also between calibrated teachers"
HOLDS_ONLY = "claim 2 holds here; between calibrated teachers it is not shown"
OPEN = "claim 2 cannot be told at this size"


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
        ratio: class CMI of `mcmi` on train rows over that of `ce`, after the last epoch (`cmi_ratio`).
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
