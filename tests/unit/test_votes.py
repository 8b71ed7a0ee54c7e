"""Votes of many raters: their columns, what runs are measured against them, and what of them is kept in git."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

import stages.collect
import stages.evaluate
import stages.prepare
from src.runs import RunName, load_logits
from src.system.files import read_csv, read_json
from tests.support.votes import SECOND, VOTES, make_task_runs, prepare


def evaluate(call) -> pd.DataFrame:
    """Evaluate after all but the records is deleted; the table of runs."""
    call(stages.collect, "--task", "tiny")
    for folder in ("data", "source", "runs"):
        shutil.rmtree(folder)
    call(stages.evaluate)
    return read_csv(Path("metrics/made/tables/runs.csv"), text=["role", "arm"]).set_index(["role", "arm", "seed"])


def test_counts_become_shares(call):
    prepare(call, voted_train=True, **VOTES)
    lines = [json.loads(line) for line in Path("source/validation.jsonl").read_text().splitlines()]
    labels = pd.read_parquet("data/tiny/test_labels/test.parquet").set_index("row_id")
    for number, line in enumerate(lines):
        row = labels.loc[f"validation_{number}"]
        assert (row["human_negative"], row["human_positive"]) == (line["no"] / 10, line["yes"] / 10)
    assert read_json(Path("data/tiny/splits/task.json"))["human_ratings"] is True
    assert "human_negative" in pd.read_parquet("data/tiny/splits/selection.parquet")
    assert [*pd.read_parquet("data/tiny/splits/train.parquet")] == ["row_id", "text_a", "label"]  # not to be trained on


def test_the_second_test_set_lies_where_training_reads_no_labels(call):
    prepare(call, voted_train=False, also_test=SECOND)
    assert [*pd.read_parquet("data/tiny/splits/also_test.parquet")] == ["row_id", "text_a"]
    facts = read_json(Path("data/tiny/splits/task.json"))["also_test"]
    assert (facts["name"], facts["rows"]) == ("rated", 50)
    assert sum(facts["overlap"].values()) == 50


def kl(shares: np.ndarray, logits: np.ndarray, temperature: float = 1.0) -> float:
    """KL(human || model) in nats, written out."""
    logs = log_softmax(logits.astype(float) / temperature, axis=1)
    terms = np.where(shares > 0, shares * (np.log(np.maximum(shares, 1e-12)) - logs), 0)
    return float(terms.sum(axis=1).mean())


def shares_and_logits(split: str, file: str) -> tuple[np.ndarray, np.ndarray]:
    """Of the run teacher/ce/0."""
    shares = pd.read_parquet(f"data/tiny/{file}.parquet").filter(like="human_").to_numpy()
    logits = load_logits(RunName("tiny", "teacher", "ce", 0).folder()).query("split == @split")
    return shares, logits.filter(like="logit_").to_numpy()


def test_kl_to_the_raters_is_that_of_the_rows(call):
    """Raw, and at the temperature that is the best one on selection."""
    prepare(call, voted_train=True, also_test=SECOND, **VOTES)
    make_task_runs()
    selection = shares_and_logits("selection", "splits/selection")
    tested = {
        "": shares_and_logits("test", "test_labels/test"),
        "rated_": shares_and_logits("also_test", "test_labels/also_test"),
    }
    found = evaluate(call).loc[("teacher", "ce", 0)]
    best = minimize_scalar(lambda log: kl(*selection, np.exp(log)), bounds=(-3, 3), method="bounded")
    for prefix, rows in tested.items():
        assert found[f"{prefix}kl_to_human"] == pytest.approx(kl(*rows), rel=1e-6)
        assert found[f"{prefix}kl_to_human_tempered"] == pytest.approx(kl(*rows, np.exp(best.x)), rel=1e-4)
        assert kl(*rows, np.exp(best.x)) != pytest.approx(kl(*rows), rel=0.01)


def test_of_the_second_test_set_only_measures_are_kept(call):
    prepare(call, voted_train=False, also_test=SECOND)
    make_task_runs()
    table = evaluate(call)
    assert {"rated_accuracy", "rated_nll", "rated_kl_to_human"} <= set(table)
    assert "kl_to_human" not in table
    records = Path("metrics/made/records/tiny")
    assert set(pd.read_parquet(records / "predictions.parquet")["split"]) == {"selection", "test"}
    kept = read_json(records / "also_test.json")
    assert set(kept) == {"name", "rows", "metrics"}
    runs = len(table)
    for values in kept["metrics"].values():  # a number a run and a pair of runs, none a row
        assert np.shape(values["of_runs"]) == (runs,)
        assert np.shape(values.get("products", np.zeros((runs, runs)))) == (runs, runs)
    [claim] = read_json(Path("metrics/made/claims.json"))["claims"]
    assert [line["metric"] for line in claim["tasks"]] == ["rated_kl_to_human"]
