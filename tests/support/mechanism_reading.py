"""The reading of the study `mechanism`: the table of its page, and the points that were added while it ran."""

from typing import Any

from src.study.claims.verdicts import CANNOT_BE_TOLD, HOLDS

ONE_DRAW = "the gain of earlier studies depends on their one draw of train rows"
NOT_SEEN = "the gain of earlier studies was not seen again"
COMPACT = "compact classes help"
LENGTH = "regularising the length of h helps; compact classes are not the reason"
WITHOUT_LABEL = "a loss without the label helps"
OPEN = "the reason cannot be told at this size"

LEAST_MATCHED, MOST_MATCHED = 0.9, 1.1  # the length of h under norm, over that under cmi_min


def reading(claims: dict[str, dict[str, Any]], norm_over_cmi_min: float) -> str:
    """What the study says, in the words of its page.

    Args:
        claims: the study's claims by name, as in claims.json.
        norm_over_cmi_min: the length of h under `norm` over that under `cmi_min`, on selection after the last epoch.
    """
    if not helps(claims["alone"]):
        return NOT_SEEN if claims["alone"]["verdict"] == CANNOT_BE_TOLD else ONE_DRAW
    unit, norm, without_label = claims["unit"], claims["norm"], claims["all"]
    if not helps(norm) and not LEAST_MATCHED <= norm_over_cmi_min <= MOST_MATCHED:
        return OPEN
    if helps(unit) and does_not_help(norm) and not helps(without_label):
        return COMPACT
    if does_not_help(unit) and helps(norm):
        return LENGTH
    if does_not_help(unit) and helps(without_label) and does_not_help(norm):
        return WITHOUT_LABEL
    return OPEN


def label_matters(claims: dict[str, dict[str, Any]]) -> bool:
    """Whether the label in CMI matters. If CMI-min does not help, nobody asks."""
    return helps(claims["alone"]) and helps(claims["above_all"])


def helps(claim: dict[str, Any]) -> bool:
    return claim["verdict"] == HOLDS


def does_not_help(claim: dict[str, Any]) -> bool:
    """Whether the whole interval lies below a worthwhile gain."""
    return not helps(claim) and claim["high"] < claim["worthwhile"]
