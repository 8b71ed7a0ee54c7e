"""What a study says of its claims: verdicts by the rule of docs/protocol.md, which was fixed before any study ran.

A difference is always that of the claim's family less that of `against`, whichever sign the claim is for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from src.files import read_json
from src.params import Claim
from src.study.intervals import FEWEST_SEEDS
from src.study.measuring import MeasuredTask
from src.study.summary import ComparedTask, holm_of_known, over_tasks

HOLDS, DOES_NOT_HOLD, OPPOSITE = "holds", "does not hold", "opposite"
CANNOT_BE_TOLD = "cannot be told at this size"
VERDICTS = [HOLDS, DOES_NOT_HOLD, OPPOSITE, CANNOT_BE_TOLD]
NO_INTERVAL = ["low", "high", "p", "smallest_visible"]
OF_REST = ["verdict", "difference", "low", "high", "wins", "count"]
OF_TASK = ["task", "metric", "difference", "low", "high", "p", "p_holm", "n", "no_error"]


@dataclass(frozen=True)
class Verdict:
    """One of four words, and why."""

    verdict: str
    reason: str


def judged(
    name: str, claim: Claim, comparisons: pd.DataFrame, compared: Mapping[str, ComparedTask], confidence: float
) -> dict[str, Any]:
    """A claim with its verdict, over tasks and per task, as plain values; what is not known is left out.

    Args:
        comparisons: the study's table.
        compared: the study's tasks by name.
    """
    tasks = tasks_of(claim, comparisons, compared)
    found = {"name": name} | _facts(claim)
    if left_out := [task for task in compared if task not in {*tasks["task"]}]:
        found["left_out"] = left_out
    if tasks.empty:
        return found | {"verdict": CANNOT_BE_TOLD, "reason": f"no task is measured in {claim.metric}", "tasks": []}
    tasks = tasks.assign(no_error=_no_error(tasks, claim, compared))
    found |= _judged_over(tasks, claim, confidence)
    without = {task: tasks[tasks["task"] != task] for task in tasks["task"]} if len(tasks) > 1 else {}
    others = {task: _judged_over(rest, claim, confidence) for task, rest in without.items()}
    found["without"] = [{"task": task} | {key: of[key] for key in OF_REST if key in of} for task, of in others.items()]
    return found | {"tasks": [_known(row) for row in tasks[OF_TASK].to_dict("records")]}


def _judged_over(tasks: pd.DataFrame, claim: Claim, confidence: float) -> dict[str, Any]:
    """The verdict over these tasks, and the numbers behind it.

    Tasks whose difference has an error of 0 stay in the mean, and can change no verdict but to "cannot be told".
    """
    over, verdict = _by_the_rule(tasks, claim, confidence)
    with_error = tasks[tasks["no_error"].isna()]
    if with_error.empty:
        over |= dict.fromkeys(NO_INTERVAL)
        verdict = Verdict(CANNOT_BE_TOLD, "; ".join(tasks["no_error"].unique()))
    elif len(with_error) < len(tasks):
        _, of_rest = _by_the_rule(with_error, claim, confidence)
        if of_rest.verdict != verdict.verdict:
            without = "without the tasks whose difference has no error"
            verdict = Verdict(CANNOT_BE_TOLD, f"{without} the verdict is: {of_rest.verdict}")
    return {"verdict": verdict.verdict, "reason": verdict.reason} | _known(over | {"count": over["tasks"]})


def _by_the_rule(tasks: pd.DataFrame, claim: Claim, confidence: float) -> tuple[dict[str, Any], Verdict]:
    sign = 1 if claim.direction == "higher" else -1
    tasks = tasks.assign(p_holm=holm_of_known(tasks["p"]))
    over = over_tasks(tasks, confidence, sign)
    return over, verdict_of(over, tasks, sign, claim.worthwhile, confidence)


def _no_error(tasks: pd.DataFrame, claim: Claim, compared: Mapping[str, ComparedTask]) -> list[str | None]:
    """Why the difference on a task has an error of 0; None where it has one."""
    found: list[str | None] = []
    for task, error in tasks[["task", "standard_error"]].itertuples(index=False, name=None):
        if error != 0:
            found.append(None)
        elif compared[task].predict_one_label(claim.role, claim.family, claim.against):
            found.append("both arms predict one label")
        else:
            found.append("the difference is the same in every row of every run")
    return found


def hangs_on(claim: dict[str, Any]) -> list[dict[str, Any]]:
    """What a claim comes to without one of its tasks, where that is another verdict."""
    return [rest for rest in claim.get("without", []) if rest["verdict"] != claim["verdict"]]


def tasks_of(claim: Claim, comparisons: pd.DataFrame, compared: Mapping[str, ComparedTask]) -> pd.DataFrame:
    """The lines of the comparisons that a claim is about, one a task, with Holm's p over just these.

    Its metric is each task's own, or else that of the task's second test set; a task with neither has no line.
    """
    own = comparisons.query("role == @claim.role and arm == @claim.family and against == @claim.against")
    wanted = own["task"].map({name: _metric_of(claim, task.measured) for name, task in compared.items()})
    found = own[own["metric"] == wanted]
    return found.assign(p_holm=holm_of_known(found["p"]))


def _metric_of(claim: Claim, task: MeasuredTask) -> str | None:
    """The name that a claim's metric has on a task; None where it is not measured there."""
    wanted = task.primary if claim.metric is None else claim.metric
    names = [wanted] if task.also_test is None else [wanted, f"{task.also_test}_{wanted}"]
    return next((name for name in names if name in task.metrics), None)


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


def claims_content(found: list[dict[str, Any]], warnings: list[str]) -> dict[str, Any]:
    """The content of claims.json.

    Its list of claims has everything. DVC shows numbers and words but no lists, so for it the headline comes first:
    each claim's difference under its name, and its interval and verdict.

    Args:
        found: as `judged` gives them.
        warnings: of the study, as `majority_warnings` gives them.
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
    return headline | {"claims": found} | ({"warnings": warnings} if warnings else {})


def load_claims(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The claims of a study, as `judged` gives them, and its warnings."""
    content = read_json(path)
    return content["claims"], content.get("warnings", [])


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
    return " ".join([text, *_of_tasks_in_words(claim), *map(_rest_in_words, hangs_on(claim))])


def _of_tasks_in_words(claim: dict[str, Any]) -> list[str]:
    """Which tasks have no error among others that have one, and which are left out."""
    told = [(row["task"], row["no_error"]) for row in claim["tasks"] if "no_error" in row]
    words = [f"On {task} {why}: its difference has no error." for task, why in told if "low" in claim]
    if left_out := claim.get("left_out"):
        words.append(f"Left out, because {claim['metric']} is not measured there: {', '.join(left_out)}.")
    return words


def _rest_in_words(rest: dict[str, Any]) -> str:
    interval = f", interval {rest['low']:+.4f} to {rest['high']:+.4f}" if "low" in rest else ""
    return f"Without {rest['task']}: {rest['verdict']} ({rest['difference']:+.4f}{interval})."


def _facts(claim: Claim) -> dict[str, Any]:
    keys = ("statement", "role", "family", "against", "direction", "worthwhile")
    return {key: getattr(claim, key) for key in keys} | {"metric": claim.metric or "each task's first"}


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not pd.isna(value)}
