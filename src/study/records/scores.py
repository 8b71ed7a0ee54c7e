"""The scores of every run of a task on test, in every metric, for tables and claims."""

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
import pandas as pd

from src.params import FeatureMap, Role
from src.study.records.also_test import recorded_metrics
from src.study.records.task_records import TaskRecords
from src.study.statistics.intervals import RunValues
from src.study.statistics.row_values import PredictedRows, best_temperature, metrics_of_runs

UNIT_MAPS = [name for name in get_args(FeatureMap) if name != "softmax"]
FEATURE_MEASURES = (
    *("feature_cmi", "feature_gamma", "feature_ncmi", "feature_norm"),
    *(f"{name}_{measure}" for name in UNIT_MAPS for measure in ("cmi", "gamma", "ncmi")),
)
RunKey = tuple[str, str, int]  # role, arm, seed


@dataclass(frozen=True)
class MeasuredTask:
    """The metrics of a task's runs. `runs` has a line per run, in the order of each metric's values.

    `also_test` is the name of the task's second test set. `of_one_label` are the lines of runs that predict the same
    label for every test row. `test_ratios` are as in `RunValues`.
    """

    name: str
    primary: str
    runs: pd.DataFrame
    metrics: dict[str, RunValues]
    also_test: str | None = None
    of_one_label: frozenset[int] = frozenset()
    test_ratios: np.ndarray | None = None

    @cached_property
    def lines(self) -> dict[tuple[Role, str], list[int]]:
        """The lines of each arm's runs, seeds in order."""
        of_arms: dict[tuple[Role, str], list[tuple[int, int]]] = {}
        for line, role, arm, seed in self.runs[["role", "arm", "seed"]].itertuples(name=None):
            of_arms.setdefault((role, arm), []).append((seed, line))
        return {arm: [line for _, line in sorted(runs)] for arm, runs in of_arms.items()}

    def table(self) -> pd.DataFrame:
        """The table `runs` with a first column for the task's name."""
        return pd.concat([pd.Series(self.name, self.runs.index, name="task"), self.runs], axis=1)


def measured_task(records: TaskRecords, ece_bins: int) -> MeasuredTask:
    """Measure every run of a task on test, and add the recorded measures of its second test set."""
    keys = list(records.runs[["role", "arm", "seed"]].itertuples(index=False, name=None))
    rows, ratios = predicted_rows(records, keys), records.test_ratios
    metrics = metrics_of_runs(rows, records.task["metrics"], ece_bins, records.text_clusters, ratios)
    if records.also_test is not None:
        metrics |= recorded_metrics(records.also_test)
    own = records.runs.drop(columns=["role", "arm", "seed"])
    columns = pd.DataFrame({name: values.of_runs for name, values in metrics.items()})
    runs = pd.concat([records.runs[["role", "arm", "seed"]], columns, own], axis=1)
    features = [name for name in FEATURE_MEASURES if _of_all_runs(own, name)]
    metrics |= {name: RunValues(own[name].to_numpy(), test_ratios=ratios) for name in features}
    also_test = None if records.also_test is None else records.also_test["name"]
    of_one_label = frozenset(line for line, run in enumerate(rows) if not np.ptp(run.logits.argmax(axis=1)))
    return MeasuredTask(records.task["task"], records.primary, runs, metrics, also_test, of_one_label, ratios)


def predicted_rows(records: TaskRecords, keys: list[RunKey]) -> list[PredictedRows]:
    """The test predictions of runs, with the labels of the rows that each run's seed tests."""
    seeds, logits = {seed for _, _, seed in keys}, records.logits("test")
    labels = {seed: records.split_labels("test", seed) for seed in seeds}
    human = {seed: records.human("test", seed) for seed in seeds}
    fitted = temperatures(records) if any(shares is not None for shares in human.values()) else {}
    return [PredictedRows(labels[key[2]], logits[key], human[key[2]], fitted.get(key, 1.0)) for key in keys]


def _of_all_runs(runs: pd.DataFrame, name: str) -> bool:
    """Whether all runs have a measure. Only runs with a feature map have its measures, so others cannot be compared."""
    return name in runs and bool(runs[name].notna().all())


def temperatures(records: TaskRecords) -> dict[RunKey, float]:
    """For each run, the temperature at which it is nearest to the raters on selection, or to the labels without raters.

    The fit uses no test row, so the KL to the raters on test at this temperature is a fair estimate. A difference of
    two models in it does not come from their confidence alone.
    """
    found = {}
    for key, logits in records.logits("selection").items():
        labels, human = records.split_labels("selection", key[2]), records.human("selection", key[2])
        found[key] = best_temperature(PredictedRows(labels, logits, human))
    return found
