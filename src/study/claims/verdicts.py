"""The rule of docs/protocol.md: a claim's verdict over some tasks, and whether a null result counts."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from src.params import Claim
from src.study.claims.tables import holm_of_known, over_tasks
from src.study.statistics.digits import settled
from src.study.statistics.intervals import FEWEST_SEEDS

HOLDS, DOES_NOT_HOLD, OPPOSITE = "holds", "does not hold", "opposite"
CANNOT_BE_TOLD = "cannot be told at this size"
CANNOT_BE_SEEN = "cannot be seen here"
VERDICTS = [HOLDS, DOES_NOT_HOLD, OPPOSITE, CANNOT_BE_TOLD]  # of a claim by itself; the fifth needs a reference pair
DECIDED = (HOLDS, OPPOSITE)
NO_INTERVAL = ["low", "high", "p", "smallest_visible"]


@dataclass(frozen=True)
class Verdict:
    """One of five verdicts and its reason. It is null if the interval contains 0: no difference was seen."""

    verdict: str
    reason: str
    is_null: bool = False


def judged_over(
    tasks: pd.DataFrame, claim: Claim, confidence: float, reference: pd.DataFrame | None = None
) -> dict[str, Any]:
    """The verdict over some tasks and the numbers behind it, as plain values. Unknown values are left out.

    Args:
        tasks: a line of the comparisons per task, with `no_error`, the reason for an error of 0.
        reference: the same lines for the claim's reference pair.
    """
    over, verdict = _by_itself(tasks, claim, confidence)
    seen: dict[str, Any] = {}
    if claim.reference is not None and reference is not None:
        of_tasks = reference[reference["task"].isin(tasks["task"])]
        pair = claim.reference.model_dump() | _reference_over(of_tasks, claim, confidence)
        seen = {"reference": pair}
        if verdict.is_null and not pair["differs"]:
            seen["by_itself"] = verdict.verdict
            told = reference_in_words(pair)
            verdict = Verdict(CANNOT_BE_SEEN, f"the reference pair does not differ as claimed: {told}")
    return {"verdict": verdict.verdict, "reason": verdict.reason} | known(over | {"count": over["tasks"]}) | seen


def _by_itself(tasks: pd.DataFrame, claim: Claim, confidence: float) -> tuple[dict[str, Any], Verdict]:
    """The claim over its tasks, and its verdict without regard to a reference pair.

    Tasks whose difference has an error of 0 stay in the mean. They can change a verdict only to "cannot be told".
    """
    over, verdict = _by_the_rule(tasks, claim, confidence)
    with_error = tasks[tasks["no_error"].isna()]
    if with_error.empty:
        reason = "; ".join(tasks["no_error"].unique())
        return over | dict.fromkeys(NO_INTERVAL), Verdict(CANNOT_BE_TOLD, reason)
    if len(with_error) < len(tasks):
        _, of_rest = _by_the_rule(with_error, claim, confidence)
        if of_rest.verdict != verdict.verdict:
            reason = f"without the tasks whose difference has no error the verdict is: {of_rest.verdict}"
            is_null = over["low"] is not None and over["low"] <= 0 <= over["high"]
            verdict = Verdict(CANNOT_BE_TOLD, reason, is_null)
    return over, verdict


def _by_the_rule(tasks: pd.DataFrame, claim: Claim, confidence: float) -> tuple[dict[str, Any], Verdict]:
    tasks = tasks.assign(p_holm=holm_of_known(tasks["p"]))
    over = over_tasks(tasks, confidence, claim.sign)
    return over, verdict_of(over, tasks, claim.sign, claim.worthwhile, confidence)


def verdict_of(over: dict[str, Any], tasks: pd.DataFrame, sign: int, worthwhile: float, confidence: float) -> Verdict:
    """The verdict of a claim by itself, for tasks that all have an error.

    Args:
        over: the claim over its tasks, from `over_tasks`.
        tasks: a line of the comparisons per task, with p_holm over these tasks.
        sign: 1 if the claim is for a higher value, -1 for a lower one.
    """
    if over["low"] is None:
        return Verdict(CANNOT_BE_TOLD, _why_no_interval(tasks))
    low, high = sorted((sign * over["low"], sign * over["high"]))
    losses = over["tasks"] - over["wins"] - over["ties"]
    clear = tasks[tasks["p_holm"] < 1 - confidence]
    if low > 0:
        against = (sign * clear["difference"] < 0).any()
        return _of_one_side(HOLDS, over["wins"] > losses, against)
    if high < 0:
        against = (sign * clear["difference"] > 0).any()
        return _of_one_side(OPPOSITE, losses > over["wins"], against)
    if high < worthwhile:
        reason = f"the interval contains 0, and leaves out a gain of {worthwhile:g}"
        return Verdict(DOES_NOT_HOLD, reason, is_null=True)
    return Verdict(CANNOT_BE_TOLD, f"the interval contains both 0 and a gain of {worthwhile:g}", is_null=True)


def _why_no_interval(tasks: pd.DataFrame) -> str:
    """The reason that a difference has no known error: too few seeds, or too few independent rows."""
    lacking = tasks[tasks["standard_error"].isna()]
    if (lacking["n"] < FEWEST_SEEDS).any():
        return f"fewer than {FEWEST_SEEDS} seeds give no interval"
    return f"test rows that count as fewer than 2 independent ones give no interval ({', '.join(lacking['task'])})"


def _of_one_side(verdict: str, most_agree: bool, one_is_against: bool) -> Verdict:
    """The verdict if the mean's interval lies on one side of 0. The tasks have to agree with that side."""
    if one_is_against:
        return Verdict(DOES_NOT_HOLD, "the interval leaves out 0, but a task goes the other way beyond doubt")
    if not most_agree:
        return Verdict(DOES_NOT_HOLD, "the interval leaves out 0, but not most tasks go that way")
    return Verdict(verdict, "the interval leaves out 0, and the tasks agree")


def _reference_over(tasks: pd.DataFrame, claim: Claim, confidence: float) -> dict[str, Any]:
    """The difference of the reference pair over these tasks, and whether its interval lies wholly on the claimed side.

    As for the claim itself, this must also be so without the tasks whose difference has an error of 0.
    """
    over, with_error = over_tasks(tasks, confidence, claim.sign), tasks[tasks["no_error"].isna()]
    if with_error.empty:
        over |= dict.fromkeys(NO_INTERVAL)
    overs = [over] if with_error.empty else [over, over_tasks(with_error, confidence, claim.sign)]
    found = {key: over[key] for key in ("difference", "low", "high")}
    return known(found) | {"differs": all(_is_beyond_0(one, claim.sign) for one in overs)}


def _is_beyond_0(over: dict[str, Any], sign: int) -> bool:
    return over["low"] is not None and min(sign * over["low"], sign * over["high"]) > 0


def reference_in_words(pair: dict[str, Any]) -> str:
    """The reference pair with its difference and interval."""
    difference, low, high = (settled(pair[key]) if key in pair else None for key in ("difference", "low", "high"))
    interval = "no interval" if low is None else f"interval {low:+.4f} to {high:+.4f}"
    return f"{pair['family']} minus {pair['against']} {difference:+.4f}, {interval}"


def known(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its unknown values."""
    return {key: value for key, value in row.items() if not pd.isna(value)}
