"""Scores of the majority class, and warnings: arms that do not beat it, runs that predict one label, too few texts."""

from typing import Any

import numpy as np
import pandas as pd

from src.core.metrics import CLASS_SCORES, CONSTANT_SCORES, ClassCounts
from src.data.prepared import FOLDS
from src.study.records.scores import MeasuredTask
from src.study.records.task_records import TaskRecords
from src.study.statistics.clusters import effective_number
from src.study.statistics.digits import settled


def majority_scores(description: dict[str, Any], split: str = "test") -> dict[str, float]:
    """The task's metrics on a split if every prediction is train's most frequent label; with folds, their means."""
    if FOLDS not in description:
        return _of_one_cut(description["splits"], description["metrics"], split)
    cuts = [_of_one_cut(splits, description["metrics"], split) for splits in description["splits"].values()]
    return {metric: float(np.mean([scores[metric] for scores in cuts])) for metric in description["metrics"]}


def _scores_of_folds(description: dict[str, Any], metric: str) -> dict[int, float]:
    """The score of train's most frequent label on the fold of each seed."""
    cuts = description["splits"].items()
    return {int(seed): _of_one_cut(splits, description["metrics"], "test")[metric] for seed, splits in cuts}


def _of_one_cut(splits: dict[str, Any], metrics: list[str], split: str) -> dict[str, float]:
    train, rows = (np.array(list(splits[part]["labels"].values()), dtype=float) for part in ("train", split))
    predicted = np.where(np.arange(len(rows)) == train.argmax(), rows.sum(), 0.0)
    counts = ClassCounts(np.minimum(rows, predicted), rows, predicted)
    known = {metric: float(score(counts)) for metric, score in CLASS_SCORES.items()} | CONSTANT_SCORES
    return {metric: known[metric] for metric in metrics}


def majority_warnings(description: dict[str, Any], runs: pd.DataFrame) -> list[str]:
    """A warning if no run of the task, or of some of its arms, beats the majority class in the first metric on test.

    Args:
        description: the description of the prepared task. With folds, each seed has its own test rows.
        runs: a line per run, with role, arm, seed and the metrics.
    """
    metric = description["metrics"][0]
    score = majority_scores(description)[metric]
    constant = runs["seed"].map(_scores_of_folds(description, metric)) if FOLDS in description else score
    best = (runs[metric] - constant).groupby([runs["role"], runs["arm"]], sort=False).max()
    weak = [f"{role} {arm}" for role, arm in best.index[settled(best) <= 0]]
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


def cluster_warnings(records: TaskRecords) -> list[str]:
    """A warning for each test set whose rows share so many texts that there is no interval."""
    sets = {}
    if (clusters := records.text_clusters) is not None:
        sets["test rows"] = len(clusters), effective_number(clusters)
    if records.also_test is not None and "effective_rows" in records.also_test:
        sets[f"rows of {records.also_test['name']}"] = records.also_test["rows"], records.also_test["effective_rows"]
    told = "share texts or documents and count as {:.1f} independent rows; an interval needs 2"
    task = records.task["task"]
    return [f"{task}: its {rows} {what} {told.format(count)}" for what, (rows, count) in sets.items() if count < 2]
