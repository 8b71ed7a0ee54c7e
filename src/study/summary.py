"""The tables of a study: every run's test metrics, the arms' means, the paired comparisons, and these over tasks.

Nothing here was looked at while a run trained: test labels are read by `collect` and judged here.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import binom

from src.params import EvaluateSection
from src.study.intervals import Estimate, estimated, mean_over_tasks
from src.study.records import TaskRecords
from src.study.statistics import Measured, PredictedRows, best_temperature, holm, sign_flip_p, statistics_of

FEATURE_MEASURES = ("feature_cmi", "feature_gamma", "feature_ncmi", "feature_norm")
ESTIMATE = ("difference", "standard_error", "freedom")
RunKey = tuple[str, str, int]  # role, arm, seed
Pair = tuple[str, str, str]  # role, arm, arm that it is compared with


@dataclass(frozen=True)
class ArmScores:
    """A metric of an arm, or the difference of two.

    `of_seeds` (S,); `sampled`, whose spread says how far its mean may be off: (S, N) values per seed and test row, (S,)
    where rows have none, or None where no spread says it.
    """

    of_seeds: np.ndarray
    sampled: np.ndarray | None

    def __sub__(self, other: "ArmScores") -> "ArmScores":
        sampled = None if self.sampled is None else self.sampled - other.sampled
        return ArmScores(self.of_seeds - other.of_seeds, sampled)

    def estimate(self) -> Estimate:
        """The mean over seeds, with its error over seeds and rows."""
        mean = float(self.of_seeds.mean())
        return Estimate(mean) if self.sampled is None else replace(estimated(self.sampled), mean=mean)


@dataclass(frozen=True)
class TaskTables:
    """The tables of one task: a row per run; per arm and metric; per pair of arms and metric.

    arms: mean, std over seeds, low and high (interval over seeds and test rows), n seeds.
    comparisons: difference (first minus second, mean over seeds), low, high and p with their standard error and degrees
    of freedom, n seeds, and p_sign_flip (over seeds alone; exact up to 32).
    """

    name: str
    primary: str
    runs: pd.DataFrame
    arms: pd.DataFrame
    comparisons: pd.DataFrame


def evaluate_task(records: TaskRecords, settings: EvaluateSection, pairs: list[Pair]) -> TaskTables:
    """Measure every run of a task on test, and compare pairs of arms; runs of equal seeds are paired."""
    measured = _measured(records, settings.ece_bins)
    runs = _per_run(records, measured)
    arms, comparisons = [], []
    for metric in [*measured, *FEATURE_MEASURES]:
        scores = _scores_by_arm(metric, runs, measured.get(metric))
        for (role, arm), own in scores.items():
            arms.append({"role": role, "arm": arm, "metric": metric} | _arm_row(own, settings.confidence))
        for role, arm, against in pairs:
            name = {"role": role, "arm": arm, "against": against, "metric": metric}
            comparisons.append(name | _comparison_row(scores[role, arm] - scores[role, against], settings.confidence))
    task = records.task["task"]
    tables = [pd.DataFrame(table) for table in (arms, comparisons)]
    for table in tables:
        table.insert(0, "task", task)
    return TaskTables(task, records.primary, runs, *tables)


def comparisons_table(tasks: list[TaskTables]) -> pd.DataFrame:
    """The comparisons of all tasks (long form), with p_holm, Holm's correction of p over tasks."""
    table = pd.concat([task.comparisons for task in tasks], ignore_index=True)
    table.insert(table.columns.get_loc("p") + 1, "p_holm", np.nan)
    for _, family in table.groupby(["role", "arm", "against", "metric"], sort=False):
        known = family["p"].dropna()
        table.loc[known.index, "p_holm"] = holm(known.tolist())
    return table


def over_tasks_table(comparisons: pd.DataFrame, primary: dict[str, str], confidence: float) -> pd.DataFrame:
    """For each comparison its primary metric over just these tasks: the mean difference, and how many tasks gain.

    Args:
        primary: the primary metric of each task.

    Returns:
        difference, low, high and p; wins (tasks in which the arm is better), ties, tasks and p_wins, the chance of at
        least as many wins among the tasks without a tie if either arm were as likely to win each. Six of eight has
        p_wins = 0.145.
    """
    of_primary = comparisons[comparisons["metric"] == comparisons["task"].map(primary)]
    rows = []
    for (role, arm, against), tasks in of_primary.groupby(["role", "arm", "against"], sort=False):
        found = mean_over_tasks([_estimate(*row) for row in tasks[list(ESTIMATE)].itertuples(index=False)])
        low, high = found.interval(confidence)
        wins, ties = int((tasks["difference"] > 0).sum()), int((tasks["difference"] == 0).sum())
        row = {"role": role, "arm": arm, "against": against, "difference": found.mean}
        row |= {"low": low, "high": high, "p": found.p, "wins": wins, "ties": ties, "tasks": len(tasks)}
        rows.append(row | {"p_wins": float(binom.sf(wins - 1, len(tasks) - ties, 0.5))})
    columns = ["role", "arm", "against", "difference", "low", "high", "p", "wins", "ties", "tasks", "p_wins"]
    return pd.DataFrame(rows, columns=columns)


def _estimate(mean: float, error: float | None, freedom: float | None) -> Estimate:
    """As it was before a table made NaN of its missing error."""
    return Estimate(mean) if pd.isna(error) else Estimate(mean, error, freedom)


def summary(arms: pd.DataFrame, comparisons: pd.DataFrame, over_tasks: pd.DataFrame) -> dict:
    """The tables as nested mappings: task, role, arm, metric; task, comparison, metric; and comparisons over tasks.

    DVC flattens the keys with dots, so the result reads `vader-movie.teacher.ce.accuracy.mean`. What a table does not
    know, such as the interval of two seeds, is left out.
    """
    content: dict = {}
    for row in arms.to_dict("records"):
        _put(content, [row["task"], row["role"], row["arm"], row["metric"]], _known(row, "mean", "std", "n"))
    for row in comparisons.to_dict("records"):
        measures = _known(row, "difference", "low", "high", "p", "p_holm", "p_sign_flip", "n")
        _put(content, [row["task"], "comparisons", _versus(row), row["metric"]], measures)
    for row in over_tasks.to_dict("records"):
        measures = _known(row, "difference", "low", "high", "p", "wins", "ties", "tasks", "p_wins")
        _put(content, ["over_tasks", _versus(row)], measures)
    return content


def _known(row: dict, *keys: str) -> dict:
    return {key: row[key] for key in keys if not pd.isna(row[key])}


def _versus(row: dict) -> str:
    return f"{row['role']}_{row['arm']}_vs_{row['against']}"


def _measured(records: TaskRecords, ece_bins: int) -> dict[str, dict[RunKey, Measured]]:
    """Every statistic of every run on test."""
    labels, human, temperatures = records.split_labels("test"), records.human("test"), _best_temperatures(records)
    rows = {
        key: PredictedRows(labels, logits, human, temperatures[key]) for key, logits in records.logits("test").items()
    }
    statistics = statistics_of(records.task["metrics"], human is not None, ece_bins)
    return {name: {key: statistic(own) for key, own in rows.items()} for name, statistic in statistics.items()}


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


def _per_run(records: TaskRecords, measured: dict[str, dict[RunKey, Measured]]) -> pd.DataFrame:
    """A row per run, a column per metric."""
    columns = {name: {key: one.value for key, one in of_runs.items()} for name, of_runs in measured.items()}
    table = pd.DataFrame(columns).rename_axis(["role", "arm", "seed"]).reset_index()
    table = table.merge(records.runs, on=["role", "arm", "seed"], validate="one_to_one")
    table.insert(0, "task", records.task["task"])
    return table


def _scores_by_arm(
    metric: str, runs: pd.DataFrame, measured: dict[RunKey, Measured] | None
) -> dict[tuple[str, str], ArmScores]:
    """A metric of every arm, seeds in order; feature-space measures are known per seed, as features are not kept."""
    scores = {}
    for (role, arm), of_arm in runs.groupby(["role", "arm"], sort=False):
        own = of_arm.sort_values("seed")
        of_seeds = sampled = own[metric].to_numpy()
        if measured is not None:
            of_rows = [measured[role, arm, seed].of_rows for seed in own["seed"]]
            sampled = None if of_rows[0] is None else np.stack(of_rows)
        scores[role, arm] = ArmScores(of_seeds, sampled)
    return scores


def _arm_row(scores: ArmScores, confidence: float) -> dict[str, float | None]:
    found, count = scores.estimate(), len(scores.of_seeds)
    low, high = found.interval(confidence)
    spread = scores.of_seeds.std(ddof=1) if count > 1 else None
    return {"mean": found.mean, "std": spread, "low": low, "high": high, "n": count}


def _comparison_row(differences: ArmScores, confidence: float) -> dict[str, float | None]:
    found = differences.estimate()
    low, high = found.interval(confidence)
    row = {"difference": found.mean, "low": low, "high": high, "standard_error": found.standard_error}
    row |= {"freedom": found.freedom, "n": len(differences.of_seeds), "p": found.p}
    return row | {"p_sign_flip": sign_flip_p(differences.of_seeds)}


def _put(content: dict, path: list[str], value: dict) -> None:
    for key in path[:-1]:
        content = content.setdefault(key, {})
    content[path[-1]] = value
