"""Numbers that the pages of studies quote, from the committed tables and records."""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import chdir
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from src.study.records.scores import temperatures
from src.study.records.task_records import TaskRecords, load_records
from src.study.statistics.intervals import Estimate, RunValues, mean_over_tasks
from src.study.statistics.row_values import PredictedRows, holm, run_values, statistics_of
from src.system.files import read_csv
from tests.conftest import REPOSITORY

FIXED, CHOSEN, RATES, CLASS = "glue-minilm-fixed", "glue-minilm", "glue-minilm-rates", "glue-minilm-class"
OLDER = (FIXED, CHOSEN, RATES, CLASS, "lowdata", "human")  # than the rules of docs/protocol.md, "Deviations"
WITH_CLAIMS = (*OLDER, "mechanism")  # the finished studies whose claims have intervals
GLUE = ("cola", "sst2", "mrpc", "rte", "wnli", "qqp-sample", "mnli-sample", "qnli-sample")
WHERE = (REPOSITORY / "params.yaml", REPOSITORY / "studies")
WITHOUT_WNLI = tuple(task for task in GLUE if task != "wnli")


class Arm(NamedTuple):
    """An arm of a study."""

    study: str
    role: str
    name: str


AT_RATES = [(Arm(RATES, "teacher", f"cmi_min_{rate}"), Arm(RATES, "teacher", f"ce_{rate}")) for rate in (1, 2, 3)]


def text(page: str) -> str:
    """A page with its lines joined."""
    return " ".join((REPOSITORY / page).read_text().split())


def page_of(study: str) -> str:
    """The page of a study."""
    return f"studies/{study}/README.md"


def rows(page: str, label: str) -> list[list[str]]:
    """The rows of a page's tables whose first cell is `label`, each as the cells after it."""
    lines = (REPOSITORY / page).read_text().splitlines()
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row[1:] for row in found if row[0] == label]


def cells(page: str, label: str) -> list[str]:
    """The cells of the one such row."""
    [row] = rows(page, label)
    return row


def over_tasks(moved: pd.DataFrame, claim: str, split: str, measure: str) -> dict[str, Any]:
    """The line of moved.csv that says how far a measure of a claim's teachers moved over tasks."""
    teachers = (moved["role"] == "teacher") & moved["task"].isna()
    wanted = (moved["claim"] == claim) & (moved["split"] == split) & (moved["measure"] == measure)
    [line] = moved[teachers & wanted].to_dict("records")
    return line


def after(page: str, words: str) -> float:
    """The first number of a page behind some words."""
    return float(re.search(r"[+-]?[\d.]*\d(e-\d+)?", text(page).split(words)[1])[0])


@cache
def claims(study: str) -> dict[str, dict[str, Any]]:
    """The claims of a study by name."""
    found = json.loads((REPOSITORY / "metrics" / study / "claims.json").read_text())["claims"]
    return {claim["name"]: claim for claim in found}


def left_after_holm(studies: Iterable[str], without: str | None = None) -> tuple[int, dict[tuple[str, str], float]]:
    """How many claims studies make, and those with a p below 0.05 after Holm's correction over all of them.

    Args:
        without: a task that each claim leaves out.
    """
    found = {(study, name): _p(study, claim, without) for study in studies for name, claim in claims(study).items()}
    corrected = zip(found, holm([*found.values()]), strict=True)
    return len(found), {name: p for name, p in corrected if p < 0.05}


def _p(study: str, claim: dict[str, Any], without: str | None) -> float:
    tasks = [task["task"] for task in claim["tasks"]]
    if without not in tasks:
        return claim["p"]
    rest = [task for task in tasks if task != without]
    return compared(Arm(study, claim["role"], claim["family"]), claim["against"], tasks=rest).p


@cache
def committed(study: str, name: str) -> pd.DataFrame:
    """A table of a study."""
    return read_csv(REPOSITORY / "metrics" / study / "tables" / f"{name}.csv", text=["role", "arm"])


@cache
def records(study: str, task: str) -> TaskRecords:
    """The records of a task."""
    with chdir(REPOSITORY):
        return load_records(study, task)


def of_runs(study: str, tasks: Sequence[str] = WITHOUT_WNLI) -> pd.DataFrame:
    """A line for each run, as `collect` wrote them."""
    return pd.concat([records(study, task).runs.assign(task=task) for task in tasks])


def compared(first: Arm, second: str, metric: str | None = None, tasks: Sequence[str] = WITHOUT_WNLI) -> Estimate:
    """`first` minus `second` of one study on the mean over tasks, from its table of comparisons."""
    return mean_over_tasks([compared_on(task, first, second, metric) for task in tasks])


def compared_on(task: str, first: Arm, second: str, metric: str | None = None) -> Estimate:
    """The same on one task; without a metric in the first of the task."""
    row = comparison(task, first, second, metric)
    return Estimate(row["difference"], row["standard_error"], row["freedom"])


def comparison(task: str, first: Arm, second: str, metric: str | None = None) -> dict[str, Any]:
    """The line of the table of comparisons."""
    table = committed(first.study, "comparisons")
    pair = (table["role"] == first.role) & (table["arm"] == first.name) & (table["against"] == second)
    wanted = metric or records(first.study, task).primary
    [row] = table[pair & (table["task"] == task) & (table["metric"] == wanted)].to_dict("records")
    return row


def of_predictions(first: Arm, second: Arm, metric: str | None = None, tasks: Sequence[str] = WITHOUT_WNLI) -> Estimate:
    """`first` minus `second` on the mean over tasks, by predictions: for arms of two studies, AUC, tempered NLL."""
    return mean_over_tasks([_of_predictions(task, first, second, metric) for task in tasks])


def _of_predictions(task: str, first: Arm, second: Arm, metric: str | None) -> Estimate:
    wanted = metric or records(first.study, task).primary
    own, other = values(first, task, wanted), values(second, task, wanted)
    count = len(own.of_runs)
    joined = RunValues(np.concatenate([own.of_runs, other.of_runs]), np.concatenate([own.of_rows, other.of_rows]))
    return joined.estimate(list(range(count)), list(range(count, 2 * count)))


@cache
def values(arm: Arm, task: str, metric: str) -> RunValues:
    """The values of an arm's runs on test, by seed. `tempered_nll` is at each run's best temperature on selection."""
    found, name = records(arm.study, task), metric.removeprefix("tempered_")
    labels, logits = found.split_labels("test"), logits_by_seed(arm, task)
    if metric != name:
        fitted = run_temperatures(arm.study, task)
        logits = {seed: rows / fitted[arm.role, arm.name, seed] for seed, rows in logits.items()}
    statistic = statistics_of([name], has_humans=False, ece_bins=10)[name]
    return run_values([statistic(PredictedRows(labels, logits[seed], None)) for seed in sorted(logits)])


@cache
def run_temperatures(study: str, task: str) -> dict[tuple[str, str, int], float]:
    """Each run's best temperature on selection."""
    return temperatures(records(study, task))


@cache
def logits_on_test(study: str, task: str) -> dict[tuple[str, str, int], np.ndarray]:
    """Logits (N, C) of the test rows by (role, arm, seed)."""
    return records(study, task).logits("test")


def logits_by_seed(arm: Arm, task: str) -> dict[int, np.ndarray]:
    """Logits (N, C) of an arm's runs on test."""
    of_all = logits_on_test(arm.study, task)
    return {seed: rows for (role, name, seed), rows in of_all.items() if (role, name) == (arm.role, arm.name)}


def of_one_label(arm: Arm, task: str) -> int:
    """How many runs of an arm predict the same label for every test row."""
    return sum(not np.ptp(rows.argmax(axis=1)) for rows in logits_by_seed(arm, task).values())


def over_tasks_ratio(logs: pd.Series) -> tuple[float, float, float]:
    """A geometric mean over seeds, then tasks, with its interval over tasks.

    Args:
        logs: the logarithms of ratios, indexed by task and seed.
    """
    means = logs.groupby("task").mean()
    found = Estimate(means.mean(), means.std(ddof=1) / len(means) ** 0.5, len(means) - 1)
    low, high = np.exp(found.interval(0.95))
    return float(np.exp(found.mean)), float(low), float(high)


def points(found: Estimate | dict[str, Any], digits: int = 1) -> str:
    """A difference in points and its interval: +1.2 points (+0.6 to +1.8)."""
    return "{} points ({})".format(*said(found, digits))


def said(found: Estimate | dict[str, Any], digits: int = 1, scale: float = 100) -> tuple[str, str]:
    """A difference and its interval as pages say them: ("+1.2", "+0.6 to +1.8"). Points, or nats if `scale` is 1."""
    if isinstance(found, dict):
        mean, (low, high) = found["difference"], (found["low"], found["high"])
    else:
        mean, (low, high) = found.mean, found.interval(0.95)
    mean, low, high = (f"{scale * value:+.{digits}f}" for value in (mean, low, high))
    return mean, f"{low} to {high}"
