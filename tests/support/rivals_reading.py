"""The reading of the study `rivals`: the rules of its page, fixed before its runs."""

from tests.support.claim_readings import Claim, Claims, gains_nothing_worthwhile, holds, holds_as_one_of

ABOVE = ("above_centre", "above_contrastive", "above_smooth")  # the claims of `cmi_min` over each rival

NOT_SEEN = "no gain of CMI-min was seen here"
BETTER = "CMI-min is better than this rival"
NOTHING_WORTHWHILE = "CMI-min gains nothing worthwhile over this rival"
OPEN = "it cannot be told whether CMI-min is better than this rival"


def readings(claims: Claims) -> dict[str, str]:
    """What the study says about each rival, by the name of its claim. Empty: no gain was seen, so no rival is read."""
    if not holds(claims["alone"]):
        return {}
    all_hold = all(holds(claims[name]) for name in ABOVE)
    return {name: _reading(claims[name], all_hold) for name in ABOVE}


def _reading(claim: Claim, all_hold: bool) -> str:
    if all_hold or holds_as_one_of(claim, len(ABOVE)):
        return BETTER
    return NOTHING_WORTHWHILE if gains_nothing_worthwhile(claim) else OPEN
