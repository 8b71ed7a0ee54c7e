"""The tables of a study: arms on test, paired comparisons, comparisons over tasks, and trials.

No training reads a test label: `collect` reads them after training, and these tables follow from its records.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.stats import binom

from src.params import Families, Role
from src.study.claims.families import Chosen, Scores
from src.study.claims.pairs import ArmPair
from src.study.records.scores import MeasuredTask
from src.study.statistics.digits import settled
from src.study.statistics.intervals import Estimate, RunValues, mean_over_tasks
from src.study.statistics.row_values import holm, sign_flip_p

ESTIMATE = ["difference", "standard_error", "freedom"]
COMPARISON = ["task", "role", "arm", "against", "metric", "difference", "low", "high", "standard_error", "freedom"]
COMPARISON += ["n", "p", "p_holm", "p_sign_flip"]


@dataclass(frozen=True)
class ComparedTask:
    """A task, with the lines of the runs that stand for each arm and family of a role."""

    measured: MeasuredTask
    lines: Mapping[tuple[Role, str], list[int]]

    def predict_one_label(self, role: Role, *names: str) -> bool:
        """Whether each run of these arms or families predicts the same label for every test row."""
        return all(self.measured.of_one_label.issuperset(self.lines[role, name]) for name in names)


def compared_task(measured: MeasuredTask, chosen: Chosen) -> ComparedTask:
    """A task in which each arm stands for itself, and the chosen trial for its family."""
    of_families = {(role, family): measured.lines[role, arm] for (role, family), arm in chosen.items()}
    return ComparedTask(measured, measured.lines | of_families)


def arms_table(task: ComparedTask, confidence: float) -> pd.DataFrame:
    """For each metric, arm and family: mean, std over seeds, low and high (see `intervals`), and the n of seeds."""
    rows = []
    for metric, values in task.measured.metrics.items():
        for (role, name), runs in task.lines.items():
            of_seeds, (low, high) = values.of_seeds(runs), values.estimate(runs).interval(confidence)
            row: dict[str, Any] = {"task": task.measured.name, "role": role, "arm": name, "metric": metric}
            row |= {"mean": float(of_seeds.mean()), "std": of_seeds.std(ddof=1) if len(runs) > 1 else None}
            rows.append(row | {"low": low, "high": high, "n": len(runs)})
    return pd.DataFrame(rows)


def comparisons_table(tasks: Iterable[ComparedTask], pairs: list[ArmPair], confidence: float) -> pd.DataFrame:
    """For each task, pair and metric: the difference, first minus second, with runs of equal seeds paired.

    low, high and p come with their standard error and degrees of freedom. p_holm is Holm's correction of p over tasks.
    p_sign_flip is a test over seeds only, exact up to 32 seeds. Folds have none, because they are not independent.
    """
    rows = [
        {"task": task.measured.name, "role": role, "arm": arm, "against": against, "metric": metric}
        | _comparison(values, task.lines[role, arm], task.lines[role, against], confidence)
        for task in tasks
        for metric, values in task.measured.metrics.items()
        for role, arm, against in pairs
    ]
    table = pd.DataFrame(rows, columns=COMPARISON)
    table["p_holm"] = table.groupby(["role", "arm", "against", "metric"], sort=False)["p"].transform(holm_of_known)
    return table


def _comparison(values: RunValues, runs: list[int], against: list[int], confidence: float) -> dict[str, float | None]:
    found, of_seeds = values.estimate(runs, against), values.of_seeds(runs, against)
    low, high = found.interval(confidence)
    row = {"difference": found.mean, "low": low, "high": high, "standard_error": found.standard_error}
    row |= {"freedom": found.freedom, "n": len(of_seeds), "p": found.p}
    return row | {"p_sign_flip": sign_flip_p(of_seeds) if values.test_ratios is None else None}


def holm_of_known(p: pd.Series) -> pd.Series:
    """Holm's correction of the known p-values. Unknown ones stay unknown."""
    known = p.dropna()
    return pd.Series(holm(known.tolist()), known.index, dtype=float).reindex(p.index)


def over_tasks_table(comparisons: pd.DataFrame, primary: Mapping[str, str], confidence: float) -> pd.DataFrame:
    """The result of `over_tasks` for each comparison, in the primary metric of each task.

    Args:
        primary: the primary metric of each task.
    """
    of_primary = comparisons[comparisons["metric"] == comparisons["task"].map(primary)]
    pairs = of_primary.groupby(["role", "arm", "against"], sort=False)
    rows = [
        dict(zip(["role", "arm", "against"], pair, strict=True)) | over_tasks(tasks, confidence)
        for pair, tasks in pairs
    ]
    columns = ["role", "arm", "against", "difference", "low", "high", "p", "smallest_visible"]
    return pd.DataFrame(rows, columns=[*columns, "wins", "ties", "tasks", "p_wins"])


def over_tasks(tasks: pd.DataFrame, confidence: float, sign: int = 1) -> dict[str, float | int | None]:
    """The mean difference over tasks, and how many of them gain.

    Args:
        tasks: a line of the comparisons per task.
        sign: 1 if a higher value is a gain, -1 if a lower one is.

    Returns:
        difference, low, high and p; smallest_visible, the effect whose interval excludes 0 in 80 % of such studies;
        wins (tasks with a gain), ties and tasks; and p_wins. p_wins is the chance of at least as many wins among the
        tasks without a tie, if gain and loss were equally likely. Six wins of eight have p_wins = 0.145.
    """
    found = mean_over_tasks([_estimate(*row) for row in tasks[ESTIMATE].itertuples(index=False)])
    low, high = found.interval(confidence)
    gains = settled(sign * tasks["difference"])
    wins, ties = int((gains > 0).sum()), int((gains == 0).sum())
    row = {"difference": found.mean, "low": low, "high": high, "p": found.p}
    row |= {"smallest_visible": found.smallest_visible(confidence), "wins": wins, "ties": ties, "tasks": len(tasks)}
    return row | {"p_wins": float(binom.sf(wins - 1, len(tasks) - ties, 0.5))}


def _estimate(mean: float, error: float | None, freedom: float | None) -> Estimate:
    """An estimate from a line of a table, in which a missing error is NaN."""
    return Estimate(mean) if pd.isna(error) else Estimate(mean, error, freedom)


def trials_table(task: str, families: Families, scores: Scores, chosen: Chosen) -> pd.DataFrame:
    """For each trial of each family: its mean selection score, and whether it stands for the family."""
    rows = [
        (task, role, family, arm, scores[role, arm], chosen[role, family] == arm)
        for role, family, trials in families.listed()
        for arm in trials
    ]
    return pd.DataFrame(rows, columns=["task", "role", "family", "arm", "selection", "chosen"])


def headline(arms: pd.DataFrame, primary: Mapping[str, str], families: Families) -> dict[str, dict[str, float]]:
    """The mean of each task's primary metric for every family, and for every arm outside the families.

    DVC shows it as `<task>.<arm>`. A student that shares a teacher's name gets the suffix `(student)`.
    """
    trials = {(role, arm) for role, _, own in families.listed() for arm in own}
    of_primary = arms[arms["metric"] == arms["task"].map(primary)]
    rows = [row for row in of_primary.itertuples() if (row.role, row.arm) not in trials]
    teachers = {row.arm for row in rows if row.role == "teacher"}
    shown: dict[str, dict[str, float]] = {}
    for row in rows:
        shared = row.role == "student" and row.arm in teachers
        shown.setdefault(row.task, {})[f"{row.arm} (student)" if shared else row.arm] = round(row.mean, 4)
    return shown
