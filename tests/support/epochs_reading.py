"""The reading of the study `glue-minilm-epochs`: the table of its page, fixed before its runs."""

from typing import Any

from src.study.claims.verdicts import DOES_NOT_HOLD, HOLDS, OPPOSITE

OVER_SIX_EPOCHS = ("epochs_6", "best_8", "best_12")  # the claims against `ce_6`
LARGEST_P = 0.05 / len(OVER_SIX_EPOCHS)  # one of three trials must hold with it

CONTRADICTED = "claim 1 is contradicted"
NOT_CONFIRMED = "claim 1 is not confirmed"
OPEN = "claim 1 cannot be told at this size"
ALSO_OVER_SIX = "claim 1 holds on the mean over the three lengths, and against six plain epochs"
TOO_LONG = "CMI-min makes up for too long a schedule, and is no better than a shorter one"
NOT_SHOWN_OVER_SIX = "claim 1 holds on the mean over the three lengths; against six plain epochs it is not shown"


def reading(claims: dict[str, dict[str, Any]]) -> str:
    """What the study says, in the words of its page.

    Args:
        claims: claims and contrasts by name, as in claims.json.
    """
    verdicts = {name: claim["verdict"] for name, claim in claims.items()}
    if verdicts["pooled"] != HOLDS:
        return {OPPOSITE: CONTRADICTED, DOES_NOT_HOLD: NOT_CONFIRMED}.get(verdicts["pooled"], OPEN)
    if any(verdicts[name] == HOLDS and claims[name]["p"] <= LARGEST_P for name in OVER_SIX_EPOCHS):
        return ALSO_OVER_SIX
    grows = verdicts["interaction"] == verdicts["shorter"] == HOLDS
    if grows and all(verdicts[name] in (DOES_NOT_HOLD, OPPOSITE) for name in OVER_SIX_EPOCHS):
        return TOO_LONG
    return NOT_SHOWN_OVER_SIX
