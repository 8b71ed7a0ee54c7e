"""What a study says of its claims: verdicts by the rule of docs/protocol.md, which was fixed before any study ran.

A difference is always that of the claim's family less that of `against`, whichever sign the claim is for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from src.files import read_json
from src.params import Claim
from src.study.intervals import FEWEST_SEEDS
from src.study.summary import holm_of_known, over_tasks

HOLDS, DOES_NOT_HOLD, OPPOSITE = "holds", "does not hold", "opposite"
CANNOT_BE_TOLD = "cannot be told at this size"
VERDICTS = [HOLDS, DOES_NOT_HOLD, OPPOSITE, CANNOT_BE_TOLD]
OF_REST = ["verdict", "difference", "low", "high", "wins", "count"]
OF_TASK = ["task", "metric", "difference", "low", "high", "p", "p_holm", "n"]


@dataclass(frozen=True)
class Verdict:
    """One of four words, and why."""

    verdict: str
    reason: str


def judged(
    name: str, claim: Claim, comparisons: pd.DataFrame, primary: dict[str, str], confidence: float
) -> dict[str, Any]:
    """A claim with its verdict, over tasks and per task, as plain values; what is not known is left out.

    Args:
        comparisons: the study's table.
        primary: the primary metric of each task.
    """
    tasks = tasks_of(claim, comparisons, primary)
    found = {"name": name} | _facts(claim)
    if tasks.empty:
        return found | {"verdict": CANNOT_BE_TOLD, "reason": f"no task is measured in {claim.metric}", "tasks": []}
    found |= _judged_over(tasks, claim, confidence)
    without = {task: tasks[tasks["task"] != task] for task in tasks["task"]} if len(tasks) > 1 else {}
    others = {task: _judged_over(rest, claim, confidence) for task, rest in without.items()}
    found["without"] = [{"task": task} | {key: of[key] for key in OF_REST if key in of} for task, of in others.items()]
    return found | {"tasks": [_known(row) for row in tasks[OF_TASK].to_dict("records")]}


def _judged_over(tasks: pd.DataFrame, claim: Claim, confidence: float) -> dict[str, Any]:
    """The verdict over these tasks, and what it is made of."""
    sign = 1 if claim.direction == "higher" else -1
    tasks = tasks.assign(p_holm=holm_of_known(tasks["p"]))
    over = over_tasks(tasks, confidence, sign)
    verdict = verdict_of(over, tasks, sign, claim.worthwhile, confidence)
    return {"verdict": verdict.verdict, "reason": verdict.reason} | _known(over | {"count": over["tasks"]})


def hangs_on(claim: dict[str, Any]) -> list[dict[str, Any]]:
    """What a claim comes to without one of its tasks, where that is another verdict."""
    return [rest for rest in claim.get("without", []) if rest["verdict"] != claim["verdict"]]


def tasks_of(claim: Claim, comparisons: pd.DataFrame, primary: dict[str, str]) -> pd.DataFrame:
    """The lines of the comparisons that a claim is about, one a task, with Holm's p over just these.

    Its metric is each task's own, or else that of the task's second test set.
    """
    own = comparisons.query("role == @claim.role and arm == @claim.family and against == @claim.against")
    lines = []
    for task, of_task in own.groupby("task", sort=False):
        wanted = primary[str(task)] if claim.metric is None else claim.metric
        exact, ending = of_task["metric"] == wanted, of_task["metric"].str.endswith(f"_{wanted}")
        lines.append(of_task[exact] if exact.any() else of_task[ending].head(1))
    found = pd.concat(lines) if lines else own
    return found.assign(p_holm=holm_of_known(found["p"]))


def verdict_of(over: dict[str, Any], tasks: pd.DataFrame, sign: int, worthwhile: float, confidence: float) -> Verdict:
    """The rule of docs/protocol.md.

    Args:
        over: the claim over its tasks, as `over_tasks` gives it.
        tasks: a line per task, with p_holm.
        sign: 1 where the claim is for a higher value, -1 for a lower one.
    """
    if over["low"] is None:
        return Verdict(CANNOT_BE_TOLD, f"fewer than {FEWEST_SEEDS} seeds give no interval")
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
        return Verdict(DOES_NOT_HOLD, f"the interval holds 0, and leaves out a gain of {worthwhile:g}")
    return Verdict(CANNOT_BE_TOLD, f"the interval holds both 0 and a gain of {worthwhile:g}")


def _of_one_side(verdict: str, most_agree: bool, one_is_against: bool) -> Verdict:
    """The interval of the mean lies wholly on one side; the tasks have to agree with it."""
    if one_is_against:
        return Verdict(DOES_NOT_HOLD, "the interval leaves out 0, but a task goes the other way beyond doubt")
    if not most_agree:
        return Verdict(DOES_NOT_HOLD, "the interval leaves out 0, but not most tasks go that way")
    return Verdict(verdict, "the interval leaves out 0, and the tasks agree")


def claims_content(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of claims.json.

    Its list of claims has everything. DVC shows numbers and words but no lists, so for it the headline comes first:
    each claim's difference under its name, and its interval and verdict.
    """
    headline: dict[str, Any] = {}
    for claim in found:
        if "difference" in claim:
            headline[claim["name"]] = round(claim["difference"], 3) + 0.0  # no -0.0
        if "low" in claim:
            headline[f"{claim['name']}_interval"] = f"{claim['low']:.3f} to {claim['high']:.3f}"
        headline[f"{claim['name']}_verdict"] = claim["verdict"]
        if alone := hangs_on(claim):
            headline[f"{claim['name']}_hangs_on"] = ", ".join(rest["task"] for rest in alone)
    return headline | {"claims": found}


def load_claims(path: Path) -> list[dict[str, Any]]:
    """The claims of a study, as `judged` gives them."""
    return read_json(path)["claims"]


def sentence(claim: dict[str, Any]) -> str:
    """A claim with its verdict in words."""
    return f"{claim['statement']}: {claim['verdict']} ({claim['reason']}). {in_numbers(claim)}".rstrip()


def in_numbers(claim: dict[str, Any]) -> str:
    """What the verdict is made of; nothing where the claim is about no task."""
    if "difference" not in claim:
        return ""
    text = f"{claim['family']} minus {claim['against']}: {claim['difference']:+.4f} (claimed: {claim['direction']})"
    if "low" in claim:
        text += f", interval {claim['low']:+.4f} to {claim['high']:+.4f}"
        text += f", smallest visible effect {claim['smallest_visible']:.4f}"
    text += f"; {claim['wins']} of {claim['count']} tasks gain (by luck: p {claim['p_wins']:.3f})."
    return " ".join([text, *map(_rest_in_words, hangs_on(claim))])


def _rest_in_words(rest: dict[str, Any]) -> str:
    interval = f", interval {rest['low']:+.4f} to {rest['high']:+.4f}" if "low" in rest else ""
    return f"Without {rest['task']}: {rest['verdict']} ({rest['difference']:+.4f}{interval})."


def _facts(claim: Claim) -> dict[str, Any]:
    keys = ("statement", "role", "family", "against", "direction", "worthwhile")
    return {key: getattr(claim, key) for key in keys} | {"metric": claim.metric or "each task's first"}


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not pd.isna(value)}
