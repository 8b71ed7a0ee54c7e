"""A finished study without training: prepared labels, and runs with random outputs that lean to the right label."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvc.utils.serialize import dump_yaml

from src.data.prepared import DATA_FOLDER, LABELS_FOLDER, SPLITS_FOLDER
from src.files import write_json, write_parquet
from src.params import Params
from src.runs import RunResult, logits_table, runs_of_task, save_run
from tests.conftest import params_content

ROWS = {"selection": 40, "test": 60}
HISTORY = ("selection_accuracy", "selection_class_cmi", "selection_feature_cmi", "train_feature_norm_std")


def make_study(
    labels: list[str],
    teachers: Sequence[str] | Mapping[str, dict] = ("ce", "cmi_min"),
    seeds: int = 2,
    rows: Mapping[str, int] = ROWS,
    epochs: int = 2,
    width: int = 8,
    task: str = "tiny",
    evaluate: Mapping[str, Any] = {},
) -> Params:
    """Write params.yaml, data/ and runs/ of a study of one task into the current folder.

    Args:
        teachers: the teacher arms, also with their settings, the first of them the baseline.
        rows: of the splits selection and test.
        width: of the features.
    """
    content = params_content()
    content |= {"study": "made", "tasks": [task], "seeds": list(range(seeds))}
    arms = teachers if isinstance(teachers, Mapping) else {arm: {} for arm in teachers}
    content["finetune"]["arms"] = dict(arms)
    content["evaluate"] |= {"baseline": next(iter(arms)), "claims": {}, **evaluate}
    content["task_settings"][task] = {
        "source": "folder", "path": "source", "text": ["text"], "labels": labels, "metrics": ["accuracy"]
    }  # fmt: skip
    dump_yaml("params.yaml", content)
    params, generator = Params.model_validate(content), np.random.default_rng(0)
    truth = {split: generator.integers(len(labels), size=count) for split, count in rows.items()}
    _prepare(DATA_FOLDER / task, task, labels, truth)
    for name in runs_of_task(params, task):
        save_run(name.folder(), _run(len(labels), truth, epochs, width, generator))
    return params


def _prepare(folder: Path, task: str, labels: list[str], truth: dict[str, np.ndarray]) -> None:
    description = {"task": task, "label_names": labels, "metrics": ["accuracy"], "human_ratings": False}
    write_json(folder / SPLITS_FOLDER / "task.json", description)
    for split, file in (("selection", f"{SPLITS_FOLDER}/selection.parquet"), ("test", f"{LABELS_FOLDER}/test.parquet")):
        write_parquet(folder / file, pd.DataFrame({"row_id": _row_ids(truth[split]), "label": truth[split]}))


def _run(
    classes: int, truth: dict[str, np.ndarray], epochs: int, width: int, generator: np.random.Generator
) -> RunResult:
    logits, features = {}, {}
    for split, labels in truth.items():
        noise = generator.standard_normal((len(labels), classes), np.float32)
        logits[split] = noise + 3 * np.eye(classes, dtype=np.float32)[labels]
        features[split] = generator.standard_normal((len(labels), width), np.float32)
    history = pd.DataFrame({"epoch": range(1, epochs + 1)} | {key: generator.random(epochs) for key in HISTORY})
    return RunResult(
        record={"best_epoch": epochs, "epochs": epochs, "steps": epochs, "environment": {"device": "none"}},
        history=history,
        logits=logits_table(logits, {split: _row_ids(labels) for split, labels in truth.items()}),
        features=features,
    )


def _row_ids(labels: np.ndarray) -> list[str]:
    return [str(number) for number in range(len(labels))]
