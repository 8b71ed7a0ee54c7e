"""The trial that stands for a family: on each task, the one with the best mean selection score over seeds.

The choice reads selection rows only, and no test label.
"""

from collections.abc import Mapping

import numpy as np

from src.core.metrics import task_scores
from src.params import Families, Role
from src.study.records.task_records import TaskRecords
from src.study.statistics.digits import settled

Scores = Mapping[tuple[Role, str], float]  # the score of each arm of a role
Chosen = Mapping[tuple[Role, str], str]  # the arm that stands for each family of a role


def selection_scores(records: TaskRecords) -> dict[tuple[Role, str], float]:
    """Each arm's mean selection score over seeds, in the task's first metric."""
    of_seeds = {}
    for (role, arm, seed), logits in records.logits("selection").items():
        score = task_scores([records.primary], records.split_labels("selection", seed), logits)[records.primary]
        of_seeds.setdefault((role, arm), []).append(score)
    return {arm: settled(float(np.mean(scores))) for arm, scores in of_seeds.items()}


def chosen_trials(families: Families, scores: Scores) -> dict[tuple[Role, str], str]:
    """The trial with the best score for every family. The first of equal trials counts."""
    return {
        (role, family): max(trials, key=lambda arm: scores[role, arm]) for role, family, trials in families.listed()
    }
