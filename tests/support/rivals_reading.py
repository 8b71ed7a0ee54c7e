"""The reading of the study `rivals`: the rules of its page, fixed before its runs."""

from typing import Any

from src.study.claims.verdicts import DOES_NOT_HOLD, HOLDS, OPPOSITE

ABOVE = ("above_centre", "above_contrastive", "above_smooth")  # the claims of `cmi_min` over each rival
LARGEST_P = 0.05 / len(ABOVE)  # one of three claims must hold with it

NOT_SEEN = "no gain of CMI-min was seen here"
BETTER = "CMI-min is better than this rival"
NOTHING_WORTHWHILE = "CMI-min gains nothing worthwhile over this rival"
OPEN = "it cannot be told whether CMI-min is better than this rival"

Claims = dict[str, dict[str, Any]]  # by name, as in claims.json


def readings(claims: Claims) -> dict[str, str]:
    """What the study says about each rival, by the name of its claim. Empty: no gain was seen, so no rival is read."""
    if claims["alone"]["verdict"] != HOLDS:
        return {}
    all_hold = all(claims[name]["verdict"] == HOLDS for name in ABOVE)
    return {name: _reading(claims[name], all_hold) for name in ABOVE}


def _reading(claim: dict[str, Any], all_hold: bool) -> str:
    if claim["verdict"] == HOLDS and (all_hold or claim["p"] <= LARGEST_P):
        return BETTER
    if claim["verdict"] in (DOES_NOT_HOLD, OPPOSITE) and claim["high"] < claim["worthwhile"]:
        return NOTHING_WORTHWHILE
    return OPEN
