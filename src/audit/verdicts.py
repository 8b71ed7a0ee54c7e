"""The verdicts of a study's claims and contrasts, with redone runs in place of the recorded ones."""

from typing import Any

from src.params import Params
from src.study.claims.judging import judged_study
from src.study.records.scores import MeasuredTask, measured_task
from src.study.records.task_records import TaskRecords, load_records


def both_verdicts(
    params: Params, before: tuple[TaskRecords, MeasuredTask], after: tuple[TaskRecords, MeasuredTask]
) -> list[dict[str, Any]]:
    """The verdict and difference of each claim and contrast, as recorded and with the redone runs, as plain values.

    Both are computed by this process, so that only the runs can make a difference.

    Args:
        before: the task as recorded.
        after: the same with redone runs.
    """
    if not params.evaluate.claims and not params.evaluate.contrasts:
        return []
    name = before[1].name
    others = {task: _measured(params, task) for task in params.tasks if task != name}
    (_, theirs), (_, ours) = (judged_study(params, others | {name: form}) for form in (before, after))
    return [
        {"claim": claim, "recorded": _result(recorded), "redone": _result(ours[claim])}
        for claim, recorded in theirs.items()
    ]


def _measured(params: Params, task: str) -> tuple[TaskRecords, MeasuredTask]:
    records = load_records(params.study, task)
    return records, measured_task(records, params.evaluate.ece_bins)


def _result(claim: dict[str, Any]) -> dict[str, Any]:
    return {key: claim[key] for key in ("verdict", "difference") if key in claim}
