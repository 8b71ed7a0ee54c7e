"""A study's comparisons and verdicts, from its tasks as recorded, or with other runs or clusters of rows."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from src.params import Params
from src.study.claims.claims import judged
from src.study.claims.contrasts import judged_contrast
from src.study.claims.families import chosen_trials, selection_scores
from src.study.claims.pairs import pairs_to_compare
from src.study.claims.tables import ComparedTask, compared_task, comparisons_table
from src.study.records.scores import MeasuredTask
from src.study.records.task_records import TaskRecords

OF_VOTES = ("kl_to_human", "kl_to_human_tempered")
Claims = dict[str, dict[str, Any]]  # claims by name, from `judged`, then contrasts, from `judged_contrast`


def judged_study(params: Params, tasks: Mapping[str, tuple[TaskRecords, MeasuredTask]]) -> tuple[pd.DataFrame, Claims]:
    """The comparisons of a study, and its claims and contrasts, from each of its tasks by name."""
    compared: dict[str, ComparedTask] = {}
    for task in params.tasks:
        records, measured = tasks[task]
        compared[task] = compared_task(measured, chosen_trials(params.evaluate.families, selection_scores(records)))
    return judged_tasks(params, compared)


def judged_tasks(params: Params, compared: Mapping[str, ComparedTask]) -> tuple[pd.DataFrame, Claims]:
    """The same, from tasks with the chosen trial of each family.

    Claims about people's votes are left out if no task has votes.
    """
    confidence = params.evaluate.confidence
    comparisons = comparisons_table(compared.values(), pairs_to_compare(params), confidence)
    claims, contrasts = params.evaluate.claims.items(), params.evaluate.contrasts.items()
    found = {name: judged(name, claim, comparisons, compared, confidence) for name, claim in claims}
    found |= {name: judged_contrast(name, one, compared, confidence) for name, one in contrasts}
    return comparisons, {name: one for name, one in found.items() if one["tasks"] or one["metric"] not in OF_VOTES}
