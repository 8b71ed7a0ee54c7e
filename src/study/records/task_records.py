"""The small results of a task's runs, collected into files that git keeps.

    metrics/<study>/records/<task>/task.json            the prepared task: label names, metrics, sizes, hashes
                                   environment.json     the distinct environments of the runs
                                   runs.csv             role, arm, seed, best epoch, feature-space measures on test
                                   history.csv          role, arm, seed and one row per epoch
                                   selection_labels.parquet, test_labels.parquet
                                                        row_id, label[, human_<label>]; for test also cluster, which
                                                        some records lack; with folds also seed
                                   predictions.parquet  role, arm, seed, split, row_id, logit_0 ... logit_C-1
                                   clusters.parquet     2-D projection of test features, first seed
                                   also_test.json       measures of a second test set, if the task has one
                                   code.json            the hash of the code that training depends on

All statistics and figures follow from these files without training. Labels and predictions list the same rows in the
same order. For a task with folds, the files of labels list the rows of one seed after the other. task.json then has the
splits of each seed, and runs.csv has `learnt_rows`, the number of rows that each run learnt from.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.data.prepared import FOLDS
from src.data.sources.labelled_text import CLUSTER, HUMAN_PREFIX, SEED
from src.study import METRICS_FOLDER
from src.system.errors import UserError
from src.system.files import is_file, read_csv, read_json, read_parquet

MEASURED_SPLITS = ("selection", "test")


def clusters_of(labels: pd.DataFrame) -> np.ndarray | None:
    """The clusters (N,) of labelled rows as numbers from 0; None if they are unknown or no two rows share one."""
    if CLUSTER not in labels or labels[CLUSTER].is_unique:
        return None
    return pd.factorize(labels[CLUSTER])[0]


def human_shares(labels: pd.DataFrame) -> np.ndarray | None:
    """The raters' shares (N, C) of labelled rows, or None without raters."""
    shares = labels.filter(regex=f"^{HUMAN_PREFIX}")
    return shares.to_numpy() if len(shares.columns) else None


def of_seed(labels: pd.DataFrame, seed: int | None) -> pd.DataFrame:
    """The labels of the rows that a seed's runs predict. Without folds these are all rows."""
    return labels[labels[SEED] == seed] if SEED in labels else labels


def described_splits(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The facts of each split by its name, from task.json; for a task with folds, of each split of each seed."""
    if FOLDS not in description:
        return description["splits"]
    seeds = description["splits"].items()
    return {f"{split} of seed {seed}": facts for seed, splits in seeds for split, facts in splits.items()}


@dataclass(frozen=True)
class TaskRecords:
    """The collected results of one task."""

    task: dict
    runs: pd.DataFrame
    history: pd.DataFrame
    labels: dict[str, pd.DataFrame]
    predictions: pd.DataFrame
    projection: pd.DataFrame
    also_test: dict | None

    @property
    def label_names(self) -> list[str]:
        """The names of labels 0 to C - 1."""
        return self.task["label_names"]

    @property
    def primary(self) -> str:
        """The metric that chose the epochs."""
        return self.task["metrics"][0]

    @property
    def folds(self) -> int:
        """The folds of cross-validation; 1 if all seeds test the same rows."""
        return self.task.get(FOLDS, 1)

    def split_labels(self, split: str, seed: int | None = None) -> np.ndarray:
        """The labels (N,) of a split; for a task with folds, of the seed's split."""
        return of_seed(self.labels[split], seed)["label"].to_numpy()

    def human(self, split: str, seed: int | None = None) -> np.ndarray | None:
        """The raters' shares (N, C) of the same rows, or None without raters."""
        return human_shares(of_seed(self.labels[split], seed))

    @property
    def text_clusters(self) -> np.ndarray | None:
        """The clusters (N,) of test rows that share texts; None if they are unknown, no rows share any, or with folds.

        With folds, intervals are over folds, and rows that share a document or both texts are in one fold.
        """
        return clusters_of(self.labels["test"]) if self.folds == 1 else None

    @property
    def test_ratios(self) -> np.ndarray | None:
        """For each run (R,), its test rows over the rows that it learnt from; None without folds."""
        if self.folds == 1:
            return None
        tested = self.runs["seed"].map(self.labels["test"][SEED].value_counts())
        return (tested / self.runs["learnt_rows"]).to_numpy()

    def logits(self, split: str) -> dict[tuple[str, str, int], np.ndarray]:
        """Logits (N, C) of a split by (role, arm, seed)."""
        rows = self.predictions[self.predictions["split"] == split]
        runs = rows.groupby(["role", "arm", "seed"], sort=False, observed=True)
        return {run: part.filter(like="logit_").to_numpy() for run, part in runs}

    def pooled_logits(self, split: str) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
        """Labels (S N,) and logits (S N, C) of a split by (role, arm), for all S seeds one after the other."""
        labels: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
        logits: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
        for (role, arm, seed), own in self.logits(split).items():
            labels[role, arm].append(self.split_labels(split, seed))
            logits[role, arm].append(own)
        return {arm: (np.concatenate(labels[arm]), np.concatenate(logits[arm])) for arm in labels}


def measured_spaces(runs: pd.DataFrame) -> list[str]:
    """The spaces in which the runs of a table have CMI on test. Feature space needs saved features."""
    return [space for space in ("class", "feature") if f"{space}_cmi" in runs]


def records_folder(study: str, task: str) -> Path:
    """The folder of a task's records."""
    return METRICS_FOLDER / study / "records" / task


def load_records(study: str, task: str, splits: Iterable[str] = MEASURED_SPLITS) -> TaskRecords:
    """Read the records of a task, with the labels of `splits` only, so that a choice reads no test label.

    Raises:
        UserError: the records have not been collected, or one of their files is damaged.
    """
    folder = records_folder(study, task)
    if not is_file(folder / "task.json"):
        raise UserError(folder, "holds no records", "run `dvc repro`")
    return TaskRecords(
        task=read_json(folder / "task.json"),
        runs=read_csv(folder / "runs.csv", text=["role", "arm"]),
        history=read_csv(folder / "history.csv", text=["role", "arm"]),
        labels={split: read_parquet(folder / f"{split}_labels.parquet") for split in splits},
        predictions=read_parquet(folder / "predictions.parquet"),
        projection=read_parquet(folder / "clusters.parquet"),
        also_test=read_json(folder / "also_test.json") if is_file(folder / "also_test.json") else None,
    )


def distinct(environments: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each of the environments once, in a fixed order."""
    found = {tuple(environment.items()) for environment in environments}
    return [dict(environment) for environment in sorted(found, key=str)]
