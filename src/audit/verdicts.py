"""The verdicts of a study's claims, with redone runs in the place of the recorded ones."""

from typing import Any

from src.params import Params
from src.study.claims import judged
from src.study.families import chosen_trials, selection_scores
from src.study.measuring import MeasuredTask, measured_task
from src.study.pairs import pairs_to_compare
from src.study.records import TaskRecords, load_records
from src.study.summary import ComparedTask, compared_task, comparisons_table

Claims = dict[str, dict[str, Any]]  # as `judged` gives them, by name


def both_verdicts(
    params: Params, before: tuple[TaskRecords, MeasuredTask], after: tuple[TaskRecords, MeasuredTask]
) -> list[dict[str, Any]]:
    """The verdict and difference of each claim, as recorded and with the redone runs, as plain values.

    Both are computed by this process, so that only the runs can make a difference.

    Args:
        before: the task as recorded.
        after: the same with redone runs.
    """
    if not params.evaluate.claims:
        return []
    name = before[1].name
    others = {task: _measured(params, task) for task in params.tasks if task != name}
    theirs, ours = (_claims(params, others | {name: form}) for form in (before, after))
    return [
        {"claim": claim, "recorded": _result(theirs[claim]), "redone": _result(ours[claim])}
        for claim in params.evaluate.claims
    ]


def _measured(params: Params, task: str) -> tuple[TaskRecords, MeasuredTask]:
    records = load_records(params.study, task)
    return records, measured_task(records, params.evaluate.ece_bins)


def _claims(params: Params, tasks: dict[str, tuple[TaskRecords, MeasuredTask]]) -> Claims:
    settings = params.evaluate
    compared: dict[str, ComparedTask] = {}
    for task in params.tasks:
        records, measured = tasks[task]
        compared[task] = compared_task(measured, chosen_trials(settings.families, selection_scores(records)))
    comparisons = comparisons_table(compared.values(), pairs_to_compare(params), settings.confidence)
    return {
        name: judged(name, claim, comparisons, compared, settings.confidence) for name, claim in settings.claims.items()
    }


def _result(claim: dict[str, Any]) -> dict[str, Any]:
    return {key: claim[key] for key in ("verdict", "difference") if key in claim}
