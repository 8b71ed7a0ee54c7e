"""A finished study without training: prepared labels, and runs with random outputs that lean to the right label."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvc.utils.serialize import dump_yaml

from src.arms import settings_of
from src.data.prepared import DATA_FOLDER, LABELS_FOLDER, SPLITS_FOLDER
from src.params import Params
from src.runs import RUNS_FOLDER, RunResult, load_run, logits_table, runs_of_task, save_run
from src.system.files import write_json, write_parquet
from tests.conftest import params_content

ROWS = {"selection": 40, "test": 60}
CLAIM = {
    **{"statement": "It is better", "role": "teacher", "family": "cmi_min", "against": "ce"},
    **{"direction": "higher", "worthwhile": 0.01},
}
HISTORY = ("selection_accuracy", "selection_class_cmi", "selection_feature_cmi", "train_feature_norm_std")


def make_study(
    labels: list[str],
    teachers: Sequence[str] | Mapping[str, dict] = ("ce", "cmi_min"),
    seeds: int = 2,
    rows: Mapping[str, int] = ROWS,
    epochs: int = 2,
    width: int = 8,
    tasks: Sequence[str] = ("tiny",),
    evaluate: Mapping[str, Any] = {},
    feature_rows: int = 1000,
) -> Params:
    """Write params.yaml, data/ and runs/ of a study into the current folder.

    Args:
        teachers: the teacher arms, also with their settings, the first of them the baseline.
        rows: of the splits selection and test.
        width: of the features.
        feature_rows: of each split, whose features the runs have kept.
    """
    content = params_content()
    content |= {"study": "made", "tasks": list(tasks), "seeds": list(range(seeds))}
    arms = teachers if isinstance(teachers, Mapping) else {arm: {} for arm in teachers}
    content["finetune"]["arms"] = dict(arms)
    content["evaluate"] |= {"baseline": next(iter(arms)), "claims": {}, **evaluate}
    settings = {"source": "folder", "path": "source", "text": ["text"], "labels": labels, "metrics": ["accuracy"]}
    content["task_settings"] |= dict.fromkeys(tasks, settings)
    dump_yaml("params.yaml", content)
    params, generator = Params.model_validate(content), np.random.default_rng(0)
    for task in tasks:
        splits = {split: _labelled(generator.integers(len(labels), size=count)) for split, count in rows.items()}
        _prepare(DATA_FOLDER / task, task, labels, splits)
        make_runs(params, task, splits, epochs, width, generator, feature_rows)
    return params


def make_runs(
    params: Params,
    task: str,
    splits: Mapping[str, pd.DataFrame],
    epochs: int = 2,
    width: int = 8,
    generator: np.random.Generator | None = None,
    feature_rows: int = 1000,
) -> None:
    """Write the runs of a prepared task, whose splits have the columns row_id and label."""
    generator = generator or np.random.default_rng(0)
    classes = 1 + max(int(split["label"].max()) for split in splits.values())
    for name in runs_of_task(params, task):
        run = _run(classes, splits, epochs, (feature_rows, width), generator)
        run.record.update(settings_of(params, task, name.role, name.arm).recorded())
        save_run(name.folder(), run)


def predict_one_label(task: str, arms: str, seeds: str = "*") -> None:
    """Make some runs predict label 0 for every row. `arms` and `seeds` are glob patterns."""
    for folder in Path(RUNS_FOLDER, task).glob(f"*/{arms}/{seeds}"):
        run = load_run(folder)
        run.logits.loc[:, run.logits.columns.str.startswith("logit_")] = [1.0, *[0.0] * (_classes(run.logits) - 1)]
        save_run(folder, run)


def _classes(logits: pd.DataFrame) -> int:
    return int(logits.columns.str.startswith("logit_").sum())


def _labelled(labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"row_id": map(str, range(len(labels))), "label": labels})


def _prepare(folder: Path, task: str, labels: list[str], splits: dict[str, pd.DataFrame]) -> None:
    facts = {split: _facts(own["label"], labels) for split, own in ({"train": splits["test"]} | splits).items()}
    description = {"task": task, "licence": "none", "label_names": labels, "metrics": ["accuracy"], "splits": facts}
    write_json(folder / SPLITS_FOLDER / "task.json", description)
    for split, file in (("selection", f"{SPLITS_FOLDER}/selection.parquet"), ("test", f"{LABELS_FOLDER}/test.parquet")):
        write_parquet(folder / file, splits[split])


def _facts(truth: pd.Series, labels: list[str]) -> dict[str, Any]:
    counts = np.bincount(truth, minlength=len(labels))
    return {"rows": len(truth), "labels": dict(zip(labels, counts.tolist(), strict=True)), "sha256": "0"}


def _run(
    classes: int,
    splits: Mapping[str, pd.DataFrame],
    epochs: int,
    features_kept: tuple[int, int],
    generator: np.random.Generator,
) -> RunResult:
    feature_rows, width = features_kept
    logits, features = {}, {}
    for split, rows in splits.items():
        noise = generator.standard_normal((len(rows), classes), np.float32)
        logits[split] = noise + 3 * np.eye(classes, dtype=np.float32)[rows["label"]]
        features[split] = generator.standard_normal((len(rows), width), np.float32)[:feature_rows]
    history = pd.DataFrame({"epoch": range(1, epochs + 1)} | {key: generator.random(epochs) for key in HISTORY})
    return RunResult(
        record={
            **{"best_epoch": epochs, "epochs": epochs, "steps": epochs},
            "environment": {"device": "none", "precision": "fp32"},
        },
        history=history,
        logits=logits_table(logits, {split: rows["row_id"].tolist() for split, rows in splits.items()}),
        features=features,
    )
