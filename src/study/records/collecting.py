"""Collect the results of a task's runs into its records: measures in feature space, projections, copies.

This module imports torch and scikit-learn, which takes seconds. `task_records`, which reads the records, needs neither.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from src.core.method.spaces import measure_features, names_of_maps
from src.core.training_code import training_code
from src.data.prepared import FOLDS, load_description, load_selection_labels, load_test_labels
from src.params import FeatureMap
from src.runs import RunName, RunResult, load_run, split_logits
from src.study.records.also_test import measured_also_test
from src.study.records.task_records import MEASURED_SPLITS, distinct, of_seed
from src.system.files import new_folder, write_csv, write_json, write_parquet


def collect_task(task: str, names: list[RunName], folder: Path, ece_bins: int, first_seed: int) -> None:
    """Gather the results of the named runs of a task into `folder`.

    A second test set is measured here. Its rows and votes may not be ours to publish, so the records do not keep them.
    Features of `first_seed` are projected. If no run has this seed, clusters.parquet has no rows.

    Raises:
        UserError: a run is missing, or its rows are not those of the prepared task.
    """
    runs = {name: load_run(name.folder()) for name in names}
    labels = {"selection": load_selection_labels(task), "test": load_test_labels(task)}
    description = load_description(task)
    with new_folder(folder) as draft:
        write_json(draft / "task.json", description)
        write_json(draft / "code.json", {"sha256": training_code()})
        if "also_test" in description:
            measures = measured_also_test(description, list(runs.values()), labels["selection"], ece_bins)
            write_json(draft / "also_test.json", measures)
        write_json(draft / "environment.json", distinct(run.record["environment"] for run in runs.values()))
        write_csv(draft / "runs.csv", _run_table(runs, labels, description))
        write_csv(draft / "history.csv", _with_names({name: run.history for name, run in runs.items()}))
        for split, own in labels.items():
            write_parquet(draft / f"{split}_labels.parquet", own)
        write_parquet(draft / "predictions.parquet", _predictions(runs, labels))
        write_parquet(draft / "clusters.parquet", _projection(runs, labels, first_seed))


def _run_table(
    runs: dict[RunName, RunResult], labels: dict[str, pd.DataFrame], description: dict[str, Any]
) -> pd.DataFrame:
    """A line per run. For a task with folds it has the number of rows that the run learnt from, for intervals."""
    table = pd.DataFrame([_run_row(name, run, _own(labels, name)) for name, run in runs.items()])
    if FOLDS in description:
        table["learnt_rows"] = [_learnt(name, run, description) for name, run in runs.items()]
    return table


def _own(labels: dict[str, pd.DataFrame], run: RunName) -> dict[str, pd.DataFrame]:
    """The labels of the rows that a run predicts."""
    return {split: of_seed(rows, run.seed) for split, rows in labels.items()}


def _learnt(name: RunName, run: RunResult, description: dict[str, Any]) -> int:
    from src.core.training.loading import learnt_rows  # it imports transformers, which takes seconds

    rows = description["splits"][str(name.seed)]["train"]["rows"]
    return len(learnt_rows(rows, run.record["training"]["train_share"], name.seed))


def _run_row(name: RunName, run: RunResult, labels: dict[str, pd.DataFrame]) -> dict:
    """The epochs and steps of a run, and measures of its saved features, if any."""
    row: dict[str, Any] = {"role": name.role, "arm": name.arm, "seed": name.seed}
    row |= {key: run.record[key] for key in ("best_epoch", "epochs", "steps")}
    features = torch.from_numpy(run.features["test"])
    if len(features):
        row |= _feature_measures(features, labels, run.record["objective"].get("feature_map", "softmax"))
    return row | {"feature_rows": len(features)}


def _feature_measures(
    features: torch.Tensor, labels: dict[str, pd.DataFrame], feature_map: FeatureMap
) -> dict[str, float]:
    """Measures in feature space (tau = 1, nats) for features (N, D) of the first test rows, and their mean length."""
    test_labels = torch.tensor(labels["test"]["label"].to_numpy()[: len(features)])
    num_classes = max(int(own["label"].max()) for own in labels.values()) + 1
    row = {}
    for name, own in names_of_maps(feature_map).items():
        measures = measure_features(features, test_labels, num_classes, own)
        row |= {f"{name}_{key}": value for key, value in measures._asdict().items()}
    return row | {"feature_norm": float(features.norm(dim=1).mean())}


def _with_names(tables: dict[RunName, pd.DataFrame]) -> pd.DataFrame:
    """The tables of several runs in one, with the columns role, arm and seed first."""
    parts = []
    for name, table in tables.items():
        own = pd.DataFrame({"role": name.role, "arm": name.arm, "seed": name.seed}, index=table.index)
        parts.append(pd.concat([own, table], axis=1))
    return pd.concat(parts, ignore_index=True)


def _predictions(runs: dict[RunName, RunResult], labels: dict[str, pd.DataFrame]) -> pd.DataFrame:
    tables = {}
    for name, run in runs.items():
        for split, own in _own(labels, name).items():
            split_logits(run.logits, split, own["row_id"].tolist(), name.folder())  # checks the rows
        tables[name] = run.logits[run.logits["split"].isin(MEASURED_SPLITS)].reset_index(drop=True)
    return _with_names(tables)


def _projection(runs: dict[RunName, RunResult], labels: dict[str, pd.DataFrame], first_seed: int) -> pd.DataFrame:
    """The two directions of largest variance of each arm's test features, for the first seed."""
    test_labels = of_seed(labels["test"], first_seed)["label"].to_numpy()
    tables = {}
    for name, run in runs.items():
        points = _projected(run.features["test"]) if name.seed == first_seed else np.zeros((0, 2), np.float32)
        tables[name] = pd.DataFrame(
            {"label": test_labels[: len(points)], "first": points[:, 0], "second": points[:, 1]}
        )
    return _with_names(tables)


def _projected(features: np.ndarray) -> np.ndarray:
    """Features (N, D) in their two directions of largest variance, float32 (N, 2); 0 for a direction that is missing.

    One row or one feature has fewer than two directions. Equal rows have no variance, and scikit-learn divides by it.
    """
    if not len(features):
        return np.zeros((0, 2), np.float32)
    components = min(2, *features.shape)
    with np.errstate(invalid="ignore"):
        points = PCA(n_components=components, svd_solver="full").fit_transform(features).astype(np.float32)
    return np.pad(points, ((0, 0), (0, 2 - components)))
