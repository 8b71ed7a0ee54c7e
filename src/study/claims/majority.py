"""Scores of the majority class, with warnings about arms that do not beat it and about runs that predict one label."""

from typing import Any

import numpy as np
import pandas as pd

from src.core.metrics import CLASS_SCORES, CONSTANT_SCORES, ClassCounts
from src.data.prepared import FOLDS
from src.study.records.scores import MeasuredTask
from src.study.statistics.digits import settled


def majority_scores(description: dict[str, Any], split: str = "test") -> dict[str, float]:
    """The task's metrics on a split if every prediction is train's most frequent label; with folds, their means."""
    if FOLDS not in description:
        return _of_one_cut(description["splits"], description["metrics"], split)
    cuts = [_of_one_cut(splits, description["metrics"], split) for splits in description["splits"].values()]
    return {metric: float(np.mean([scores[metric] for scores in cuts])) for metric in description["metrics"]}


def _of_one_cut(splits: dict[str, Any], metrics: list[str], split: str) -> dict[str, float]:
    train, rows = (np.array(list(splits[part]["labels"].values()), dtype=float) for part in ("train", split))
    predicted = np.where(np.arange(len(rows)) == train.argmax(), rows.sum(), 0.0)
    counts = ClassCounts(np.minimum(rows, predicted), rows, predicted)
    known = {metric: float(score(counts)) for metric, score in CLASS_SCORES.items()} | CONSTANT_SCORES
    return {metric: known[metric] for metric in metrics}


def majority_warnings(description: dict[str, Any], runs: pd.DataFrame) -> list[str]:
    """A warning if no run of the task, or of some of its arms, beats the majority class in the first metric on test.

    Args:
        description: the description of the prepared task.
        runs: a line per run, with role, arm and the metrics.
    """
    metric = description["metrics"][0]
    score = majority_scores(description)[metric]
    best = runs.groupby(["role", "arm"], sort=False)[metric].max()
    weak = [f"{role} {arm}" for role, arm in best.index[settled(best) <= settled(score)]]
    if not weak:
        return []
    whose = "no run" if len(weak) == len(best) else f"no run of {', '.join(weak)}"
    return [f"{description['task']}: {whose} beats the most frequent label of train ({metric} {score:.4f} on test)"]


def one_label_warnings(task: MeasuredTask) -> list[str]:
    """A warning if runs predict the same label for every test row, with the number of such runs of each arm."""
    failed, lines = task.of_one_label, task.lines.items()
    counts = {f"{role} {arm}": (len(failed.intersection(own)), len(own)) for (role, arm), own in lines}
    told = ", ".join(f"{arm} {some} of {runs}" for arm, (some, runs) in counts.items() if some)
    if len(failed) == len(task.runs):
        told = f"all {len(failed)}"
    return [f"{task.name}: runs that predict one label for every test row: {told}"] if failed else []
