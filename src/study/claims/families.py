"""Which trial stands for a family: on each task the one with the best mean selection score over seeds.

Choosing reads selection rows alone. No test label is needed for it, nor looked at.
"""

from collections.abc import Mapping

import numpy as np

from src.core.metrics import task_scores
from src.params import Families, Role
from src.study.records.task_records import TaskRecords
from src.study.statistics.digits import settled

Scores = Mapping[tuple[Role, str], float]  # of each arm of a role
Chosen = Mapping[tuple[Role, str], str]  # the arm that stands for each family of a role


def selection_scores(records: TaskRecords) -> dict[tuple[Role, str], float]:
    """The mean over seeds of each arm's score on selection, in the metric that chose the epochs."""
    of_seeds = {}
    for (role, arm, seed), logits in records.logits("selection").items():
        score = task_scores([records.primary], records.split_labels("selection", seed), logits)[records.primary]
        of_seeds.setdefault((role, arm), []).append(score)
    return {arm: settled(float(np.mean(scores))) for arm, scores in of_seeds.items()}


def chosen_trials(families: Families, scores: Scores) -> dict[tuple[Role, str], str]:
    """The trial of the best score for every family; of equal ones the first that is listed."""
    return {
        (role, family): max(trials, key=lambda arm: scores[role, arm]) for role, family, trials in families.listed()
    }
