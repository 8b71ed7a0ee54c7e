"""The tables of a study: every run's test metrics, the arms' means, and the paired comparisons.

Nothing here was looked at while a run trained: test labels are read by `collect` and judged here.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom

from src.params import EvaluateSection
from src.study.records import TaskRecords
from src.study.statistics import (
    PredictedRows,
    Statistic,
    best_temperature,
    bootstrap,
    holm,
    interval,
    sign_flip_p,
    statistics_of,
)

FEATURE_MEASURES = ("feature_cmi", "feature_gamma", "feature_ncmi", "feature_norm")
RunKey = tuple[str, str, int]  # role, arm, seed


@dataclass(frozen=True)
class TaskEvaluation:
    """The evaluation of one task.

    `per_run`: one row per run, a column per metric. `resampled`: per statistic and run the values (samples,) under
    resampled test rows; feature-space measures have none, since their features are not kept.
    """

    task: str
    primary: str
    per_run: pd.DataFrame
    resampled: dict[str, dict[RunKey, np.ndarray]]

    @property
    def metric_names(self) -> list[str]:
        """Every metric of the task: the statistics, then the feature-space measures."""
        return [*self.resampled, *FEATURE_MEASURES]


def evaluate_task(records: TaskRecords, settings: EvaluateSection) -> TaskEvaluation:
    """Measure every run of a task on test, and resample the test rows."""
    labels, human = records.split_labels("test"), records.human("test")
    temperatures = _best_temperatures(records)
    runs = {
        key: PredictedRows(labels, logits, human, temperatures[key]) for key, logits in records.logits("test").items()
    }
    task = records.task
    statistics = statistics_of(task["metrics"], len(task["label_names"]), human is not None, settings.ece_bins)
    resampled = bootstrap(statistics, list(runs.values()), settings.bootstrap_samples)
    by_run = {name: dict(zip(runs, values.T, strict=True)) for name, values in resampled.items()}
    return TaskEvaluation(task["task"], records.primary, _per_run(records, runs, statistics), by_run)


def arms_table(evaluations: list[TaskEvaluation], confidence: float) -> pd.DataFrame:
    """Mean, standard deviation over seeds, n, and interval of each arm and metric (long form)."""
    rows = []
    for evaluation in evaluations:
        for (role, arm), runs in evaluation.per_run.groupby(["role", "arm"], sort=False):
            for metric in evaluation.metric_names:
                values = runs[metric].to_numpy()
                low, high = _interval_of_arm(
                    evaluation, metric, [(role, arm, seed) for seed in runs["seed"]], confidence
                )
                spread = values.std(ddof=1) if len(values) > 1 else None
                row = {"task": evaluation.task, "role": role, "arm": arm, "metric": metric}
                rows.append(row | {"mean": values.mean(), "std": spread, "low": low, "high": high, "n": len(values)})
    return pd.DataFrame(rows)


def comparisons_table(
    evaluations: list[TaskEvaluation], pairs: list[tuple[str, str, str]], confidence: float
) -> pd.DataFrame:
    """The paired difference of each pair of arms, per task and metric (long form).

    Args:
        pairs: (role, arm, arm that it is compared with); arms of equal seeds are paired.

    Returns:
        difference (first minus second, mean over seeds), low and high (interval over seeds and examples), n seeds,
        p (exact sign-flip over seeds) and p_holm (Holm over tasks).
    """
    rows = [
        _comparison(evaluation, role, arm, against, metric, confidence)
        for evaluation in evaluations
        for role, arm, against in pairs
        for metric in evaluation.metric_names
    ]
    columns = ["task", "role", "arm", "against", "metric", "difference", "low", "high", "n", "p", "p_holm"]
    table = pd.DataFrame(rows, columns=columns)
    for _, family in table.groupby(["role", "arm", "against", "metric"], sort=False):
        table.loc[family.index, "p_holm"] = holm(family["p"].tolist())
    return table


def wins_table(comparisons: pd.DataFrame, primary: dict[str, str]) -> pd.DataFrame:
    """For each comparison the tasks in which the arm's primary metric is higher, and how likely that many are by luck.

    Args:
        primary: the primary metric of each task.

    Returns:
        wins, ties, tasks and p, the chance of at least as many wins among the tasks without a tie if either arm were
        as likely to win each. Six of eight has p = 0.145.
    """
    of_primary = comparisons[comparisons["metric"] == comparisons["task"].map(primary)]
    rows = []
    for (role, arm, against), tasks in of_primary.groupby(["role", "arm", "against"], sort=False):
        wins, ties = int((tasks["difference"] > 0).sum()), int((tasks["difference"] == 0).sum())
        p = float(binom.sf(wins - 1, len(tasks) - ties, 0.5))
        row = {"role": role, "arm": arm, "against": against}
        rows.append(row | {"wins": wins, "ties": ties, "tasks": len(tasks), "p": p})
    return pd.DataFrame(rows, columns=["role", "arm", "against", "wins", "ties", "tasks", "p"])


def summary(arms: pd.DataFrame, comparisons: pd.DataFrame, wins: pd.DataFrame) -> dict:
    """The tables as nested mappings: task, role, arm, metric; task, comparison, metric; and wins over tasks.

    DVC flattens the keys with dots, so the result reads `vader-movie.teacher.ce.accuracy.mean`.
    """
    content: dict = {}
    for row in arms.to_dict("records"):
        measures = {key: row[key] for key in ("mean", "std", "n") if key == "mean" or not pd.isna(row[key])}
        _put(content, [row["task"], row["role"], row["arm"], row["metric"]], measures)
    for row in comparisons.to_dict("records"):
        keys = ("difference", "low", "high", "p", "p_holm", "n")
        # Feature-space measures have no interval; anything else that is missing must not pass unseen.
        measures = {key: row[key] for key in keys if key not in ("low", "high") or not pd.isna(row[key])}
        _put(content, [row["task"], "comparisons", _versus(row), row["metric"]], measures)
    for row in wins.to_dict("records"):
        _put(content, ["wins", _versus(row)], {key: row[key] for key in ("wins", "ties", "tasks", "p")})
    return content


def _versus(row: dict) -> str:
    return f"{row['role']}_{row['arm']}_vs_{row['against']}"


def _best_temperatures(records: TaskRecords) -> dict[RunKey, float]:
    """For each run the temperature at which it is nearest to the raters on selection; 1 where nobody rated.

    Fitted on selection, so that the KL to the raters on test at this temperature is an honest figure: what is left of
    a difference between two models when either may be softened or sharpened at will.
    """
    labels, human = records.split_labels("selection"), records.human("selection")
    runs = records.logits("selection")
    if human is None:
        return dict.fromkeys(runs, 1.0)
    return {key: best_temperature(PredictedRows(labels, logits, human)) for key, logits in runs.items()}


def _per_run(records: TaskRecords, runs: dict[RunKey, PredictedRows], statistics: dict[str, Statistic]) -> pd.DataFrame:
    measured = [
        dict(zip(("role", "arm", "seed"), key, strict=True))
        | {name: statistic.of(rows) for name, statistic in statistics.items()}
        for key, rows in runs.items()
    ]
    table = pd.DataFrame(measured).merge(records.runs, on=["role", "arm", "seed"], validate="one_to_one")
    table.insert(0, "task", records.task["task"])
    return table


def _interval_of_arm(
    evaluation: TaskEvaluation, metric: str, runs: list[RunKey], confidence: float
) -> tuple[float | None, float | None]:
    if metric not in evaluation.resampled:
        return None, None
    return interval(np.stack([evaluation.resampled[metric][run] for run in runs], axis=1), confidence)


def _comparison(evaluation: TaskEvaluation, role: str, arm: str, against: str, metric: str, confidence: float) -> dict:
    runs = evaluation.per_run[evaluation.per_run["role"] == role].pivot(index="seed", columns="arm", values=metric)
    differences = (runs[arm] - runs[against]).to_numpy()
    low, high = None, None
    if metric in evaluation.resampled:
        values = evaluation.resampled[metric]
        paired = [values[role, arm, seed] - values[role, against, seed] for seed in runs.index]
        low, high = interval(np.stack(paired, axis=1), confidence)
    row = {"task": evaluation.task, "role": role, "arm": arm, "against": against, "metric": metric}
    row |= {"difference": differences.mean(), "low": low, "high": high, "n": len(differences)}
    return row | {"p": sign_flip_p(differences)}


def _put(content: dict, path: list[str], value: dict) -> None:
    for key in path[:-1]:
        content = content.setdefault(key, {})
    content[path[-1]] = value
