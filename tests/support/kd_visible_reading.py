"""The checks and the reading of the study `kd-visible`: the rules of its page, fixed before its runs."""

from typing import Any

from src.study.claims.verdicts import DOES_NOT_HOLD, HOLDS, OPPOSITE
from tests.support.kd_visible_pilots import LEAST_CALIBRATED

LEAST_ON_TRAIN = 1.5  # of class CMI on train rows, over that of `ce`
LEAST_GAIN = 0.02  # of `kd-ce` over `plain`

NOT_SEEN = "claim 2 cannot be seen here"
NOT_MOVED = "CMI did not rise enough for a claim about it"
DOES_NOT = "claim 2 does not hold here"
HOLDS_CALIBRATED = "claim 2 holds here, also between calibrated teachers"
HOLDS_ONLY = "claim 2 holds here; between calibrated teachers it is not shown"
OPEN = "claim 2 cannot be told at this size"


def reading(claims: dict[str, dict[str, Any]], on_train: float, calibrated: float) -> str:
    """What the study says, in the words of its page.

    Args:
        claims: by name, as in claims.json.
        on_train: class CMI of `mcmi` on train rows over that of `ce`, after the last epoch (`cmi_ratio`).
        calibrated: the same of calibrated outputs on selection rows.
    """
    verdicts = {name: claim["verdict"] for name, claim in claims.items()}
    if verdicts["seen"] != HOLDS or claims["seen"]["difference"] < LEAST_GAIN:
        return NOT_SEEN
    if on_train < LEAST_ON_TRAIN or calibrated < LEAST_CALIBRATED:
        return NOT_MOVED
    if verdicts["kd_max"] in (DOES_NOT_HOLD, OPPOSITE):
        return DOES_NOT
    if verdicts["kd_max"] != HOLDS:
        return OPEN
    return HOLDS_CALIBRATED if verdicts["both_calibrated"] == HOLDS else HOLDS_ONLY
