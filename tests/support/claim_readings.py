"""What verdicts mean for the readings of studies, which their pages fix before the runs."""

from typing import Any

from src.study.claims.verdicts import DOES_NOT_HOLD, HOLDS, OPPOSITE

Claim = dict[str, Any]
Claims = dict[str, Claim]  # claims and contrasts by name, as in claims.json


def holds(claim: Claim) -> bool:
    return claim["verdict"] == HOLDS


def holds_as_one_of(claim: Claim, count: int) -> bool:
    """Whether a claim holds that one of `count` may make: p is at most 0.05 / count."""
    return holds(claim) and claim["p"] <= 0.05 / count


def is_not_confirmed(claim: Claim) -> bool:
    """Whether the verdict is "does not hold" or "opposite"."""
    return claim["verdict"] in (DOES_NOT_HOLD, OPPOSITE)


def gains_nothing_worthwhile(claim: Claim) -> bool:
    """Whether a claim is not confirmed, and the whole interval lies below a worthwhile gain."""
    return is_not_confirmed(claim) and claim["high"] < claim["worthwhile"]
