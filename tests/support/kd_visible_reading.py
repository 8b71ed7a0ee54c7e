"""The checks and the readings of `kd-visible` and `kd-confident`: the rules of their pages, fixed before the runs."""

from tests.support.claim_readings import Claims, holds, is_not_confirmed
from tests.support.kd_visible_pilots import LEAST_CALIBRATED

LEAST_ON_TRAIN = 1.5  # of class CMI on train rows, over that of `ce`
LEAST_GAIN = 0.02  # of `kd-ce` over `plain`

NOT_SEEN = "claim 2 cannot be seen here"
NOT_MOVED = "CMI did not rise enough for a claim about it"
DOES_NOT = "claim 2 does not hold here"
HOLDS_CALIBRATED = "claim 2 holds here, also between calibrated teachers"
HOLDS_ONLY = "claim 2 holds here; between calibrated teachers it is not shown"
OPEN = "claim 2 cannot be told at this size"


def reading(claims: Claims, on_train: float, calibrated: float | None) -> str:
    """What the study says, in the words of its page.

    Args:
        on_train: class CMI of `mcmi` on train rows over that of `ce`, after the last epoch (`cmi_ratio`).
        calibrated: the same of calibrated outputs on selection rows. None: no rule about it (`kd-confident`).
    """
    if not holds(claims["seen"]) or claims["seen"]["difference"] < LEAST_GAIN:
        return NOT_SEEN
    if on_train < LEAST_ON_TRAIN or (calibrated is not None and calibrated < LEAST_CALIBRATED):
        return NOT_MOVED
    if is_not_confirmed(claims["kd_max"]):
        return DOES_NOT
    if not holds(claims["kd_max"]):
        return OPEN
    return HOLDS_CALIBRATED if holds(claims["both_calibrated"]) else HOLDS_ONLY
