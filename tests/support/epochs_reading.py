"""The reading of the study `glue-minilm-epochs`: the table of its page, fixed before its runs."""

from src.study.claims.verdicts import DOES_NOT_HOLD, OPPOSITE
from tests.support.claim_readings import Claims, holds, holds_as_one_of, is_not_confirmed

OVER_SIX_EPOCHS = ("epochs_6", "best_8", "best_12")  # the claims against `ce_6`

CONTRADICTED = "claim 1 is contradicted"
NOT_CONFIRMED = "claim 1 is not confirmed"
OPEN = "claim 1 cannot be told at this size"
ALSO_OVER_SIX = "claim 1 holds on the mean over the three lengths, and against six plain epochs"
TOO_LONG = "CMI-min makes up for too long a schedule, and is no better than a shorter one"
NOT_SHOWN_OVER_SIX = "claim 1 holds on the mean over the three lengths; against six plain epochs it is not shown"


def reading(claims: Claims) -> str:
    """What the study says, in the words of its page."""
    over_six = [claims[name] for name in OVER_SIX_EPOCHS]
    if not holds(claims["pooled"]):
        return {OPPOSITE: CONTRADICTED, DOES_NOT_HOLD: NOT_CONFIRMED}.get(claims["pooled"]["verdict"], OPEN)
    if any(holds_as_one_of(claim, len(over_six)) for claim in over_six):
        return ALSO_OVER_SIX
    if holds(claims["interaction"]) and holds(claims["shorter"]) and all(map(is_not_confirmed, over_six)):
        return TOO_LONG
    return NOT_SHOWN_OVER_SIX
