"""The majority class: what a task's metrics are if every row is taken for it, and which arms do no better."""

from typing import Any

import numpy as np
import pandas as pd

from src.core.metrics import CLASS_SCORES, CONSTANT_SCORES, ClassCounts
from src.study.digits import settled


def majority_scores(description: dict[str, Any]) -> dict[str, float]:
    """The task's metrics on test if every row is taken for the most frequent label of train."""
    train, test = (np.array(list(description["splits"][split]["labels"].values())) for split in ("train", "test"))
    predicted = np.where(np.arange(len(test)) == train.argmax(), test.sum(), 0)
    counts = ClassCounts(*np.minimum([test, test, predicted], [predicted, test, predicted]).astype(float))
    known = {metric: float(score(counts)) for metric, score in CLASS_SCORES.items()} | CONSTANT_SCORES
    return {metric: known[metric] for metric in description["metrics"]}


def majority_warnings(description: dict[str, Any], runs: pd.DataFrame) -> list[str]:
    """A line where no run of the task, or of some of its arms, beats the majority class in the first metric on test.

    Args:
        description: the task's, as prepared.
        runs: a line a run, with role, arm and the metrics.
    """
    metric = description["metrics"][0]
    score = majority_scores(description)[metric]
    best = runs.groupby(["role", "arm"], sort=False)[metric].max()
    weak = [f"{role} {arm}" for role, arm in best.index[settled(best) <= settled(score)]]
    if not weak:
        return []
    whose = "no run" if len(weak) == len(best) else f"no run of {', '.join(weak)}"
    return [f"{description['task']}: {whose} beats the most frequent label of train ({metric} {score:.4f} on test)"]
