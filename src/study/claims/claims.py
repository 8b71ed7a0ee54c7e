"""A study's verdicts on its claims, by the rule of docs/protocol.md (`src.study.claims.verdicts`).

A difference is always the claim's family minus `against`, whatever the direction of the claim.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from src.params import Claim
from src.study.claims.tables import ComparedTask, holm_of_known
from src.study.claims.verdicts import CANNOT_BE_TOLD, judged_over, known
from src.study.records.scores import MeasuredTask
from src.system.files import read_json

OF_REST = ["verdict", "difference", "low", "high", "wins", "count"]
OF_TASK = ["task", "metric", "difference", "low", "high", "p", "p_holm", "n", "no_error"]


def judged(
    name: str, claim: Claim, comparisons: pd.DataFrame, compared: Mapping[str, ComparedTask], confidence: float
) -> dict[str, Any]:
    """A claim with its verdict and numbers, over tasks and per task, as plain values. Unknown values are left out.

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
    reference = None if claim.reference is None else tasks_of(_of_reference(claim), comparisons, compared)
    found |= judged_over(tasks, claim, confidence, reference)
    without = {task: tasks[tasks["task"] != task] for task in tasks["task"]} if len(tasks) > 1 else {}
    others = {task: judged_over(rest, claim, confidence, reference) for task, rest in without.items()}
    found["without"] = [{"task": task} | {key: of[key] for key in OF_REST if key in of} for task, of in others.items()]
    return found | {"tasks": [known(row) for row in tasks[OF_TASK].to_dict("records")]}


def _of_reference(claim: Claim) -> Claim:
    """The claim that the reference pair of a claim differs."""
    assert claim.reference is not None  # checked by the caller
    return claim.model_copy(update=claim.reference.model_dump() | {"reference": None})


def tasks_of(claim: Claim, comparisons: pd.DataFrame, compared: Mapping[str, ComparedTask]) -> pd.DataFrame:
    """The comparisons that a claim is about, a line per task, with Holm's p over these tasks.

    The claim's metric is taken on the task's test set, or else on its second test set. A task with neither has no line.
    `no_error` says why a difference has an error of 0. It is None for all other differences.
    """
    own = comparisons.query("role == @claim.role and arm == @claim.family and against == @claim.against")
    wanted = own["task"].map({name: _metric_of(claim, task.measured) for name, task in compared.items()})
    found = own[own["metric"] == wanted]
    return found.assign(p_holm=holm_of_known(found["p"]), no_error=_no_error(found, claim, compared))


def _no_error(tasks: pd.DataFrame, claim: Claim, compared: Mapping[str, ComparedTask]) -> list[str | None]:
    found: list[str | None] = []
    for task, error in tasks[["task", "standard_error"]].itertuples(index=False, name=None):
        if error != 0:
            found.append(None)
        elif compared[task].predict_one_label(claim.role, claim.family, claim.against):
            found.append("both arms predict one label")
        elif compared[task].measured.test_ratios is not None:
            found.append("the difference is the same in every fold")
        else:
            found.append("the difference is the same in every row of every run")
    return found


def _metric_of(claim: Claim, task: MeasuredTask) -> str | None:
    """The name of a claim's metric on a task; None if the task does not measure it."""
    wanted = task.primary if claim.metric is None else claim.metric
    names = [wanted] if task.also_test is None else [wanted, f"{task.also_test}_{wanted}"]
    return next((name for name in names if name in task.metrics), None)


def hangs_on(claim: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a claim without one of its tasks, for each task without which the verdict changes."""
    return [rest for rest in claim.get("without", []) if rest["verdict"] != claim["verdict"]]


def without_task(claim: dict[str, Any], task: str) -> dict[str, Any]:
    """The result of a claim without one of its tasks."""
    [rest] = [rest for rest in claim["without"] if rest["task"] == task]
    return rest


def with_holm(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims and contrasts with `p_holm` after each known p: Holm's correction over all of them."""
    corrected = holm_of_known(pd.Series([claim.get("p") for claim in found], dtype=float))
    return [_after_p(claim, p_holm) for claim, p_holm in zip(found, corrected, strict=True)]


def _after_p(claim: dict[str, Any], p_holm: float) -> dict[str, Any]:
    with_it: dict[str, Any] = {}
    for key, value in claim.items():
        with_it |= {key: value} | ({"p_holm": p_holm} if key == "p" else {})
    return with_it


def claims_content(found: list[dict[str, Any]], warnings: list[str]) -> dict[str, Any]:
    """The content of claims.json.

    The list `claims` has all claims, then all contrasts, which have the key `contrast`. DVC shows numbers and words but
    no lists. For DVC, the file begins with the difference, interval and verdict of each claim under the claim's name.

    Args:
        found: claims from `judged`, and contrasts from `judged_contrast`.
        warnings: the study's warnings.
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
    """The claims and contrasts of a study, and its warnings, from claims.json."""
    content = read_json(path)
    return content["claims"], content.get("warnings", [])


def _facts(claim: Claim) -> dict[str, Any]:
    keys = ("statement", "role", "family", "against", "direction", "worthwhile")
    return {key: getattr(claim, key) for key in keys} | {"metric": claim.metric or "each task's first"}
