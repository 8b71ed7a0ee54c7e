"""A study's comparisons and verdicts, of its tasks as they were recorded, or with other runs or clusters of rows."""

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
Claims = dict[str, dict[str, Any]]  # and after them contrasts, as `judged` and `judged_contrast` give them, by name


def judged_study(params: Params, tasks: Mapping[str, tuple[TaskRecords, MeasuredTask]]) -> tuple[pd.DataFrame, Claims]:
    """The comparisons, the claims and the contrasts of a study, from each of its tasks by name."""
    compared: dict[str, ComparedTask] = {}
    for task in params.tasks:
        records, measured = tasks[task]
        compared[task] = compared_task(measured, chosen_trials(params.evaluate.families, selection_scores(records)))
    return judged_tasks(params, compared)


def judged_tasks(params: Params, compared: Mapping[str, ComparedTask]) -> tuple[pd.DataFrame, Claims]:
    """The same of tasks whose families have their chosen trials already.

    Claims about people's votes are left out where nobody voted on any task.
    """
    confidence = params.evaluate.confidence
    comparisons = comparisons_table(compared.values(), pairs_to_compare(params), confidence)
    claims, contrasts = params.evaluate.claims.items(), params.evaluate.contrasts.items()
    found = {name: judged(name, claim, comparisons, compared, confidence) for name, claim in claims}
    found |= {name: judged_contrast(name, one, compared, confidence) for name, one in contrasts}
    return comparisons, {name: one for name, one in found.items() if one["tasks"] or one["metric"] not in OF_VOTES}
