"""Clusters of test rows in a study: from texts to records, tables and verdicts."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import stages.clusters
import stages.collect
import stages.evaluate
import stages.prepare
from src.data.sources.labelled_text import CLUSTER
from src.system.files import read_csv, read_json, write_json, write_parquet
from tests.support.synthetic_study import make_study
from tests.support.votes import SECOND, make_task_runs, prepare, write_rows

RECORDS = Path("metrics/made/records/tiny")
CLAIM = {"statement": "x", "role": "teacher", "family": "cmi_min", "against": "ce"}
CLAIM |= {"direction": "higher", "worthwhile": 0.01}


def tables(call) -> dict[str, bytes]:
    call(stages.evaluate)
    return {path.name: path.read_bytes() for path in Path("metrics/made/tables").iterdir()}


def with_clusters(clusters: np.ndarray) -> None:
    """Put clusters into the records, as if the prepared test labels had had them."""
    path = RECORDS / "test_labels.parquet"
    write_parquet(path, pd.read_parquet(path).assign(**{CLUSTER: clusters}))


def test_evaluate_uses_clusters_where_rows_share_them_and_only_there(call, capsys):
    make_study(["a", "b"], seeds=5, evaluate={"claims": {"better": CLAIM}})
    call(stages.collect, "--task", "tiny")
    before = tables(call)
    with_clusters(np.arange(60))
    assert tables(call) == before
    with_clusters(np.arange(60) // 3)
    after = tables(call)
    assert after["runs.csv"] == before["runs.csv"]
    assert after["comparisons.csv"] != before["comparisons.csv"]
    with_clusters(np.zeros(60, int))
    capsys.readouterr()
    tables(call)
    line = "tiny: its 60 test rows share texts or documents and count as 1.0 independent rows"
    assert f"warning: {line}; an interval needs 2" in capsys.readouterr().err
    [claim] = read_json(Path("metrics/made/claims.json"))["claims"]
    assert claim["reason"] == "test rows that count as fewer than 2 independent ones give no interval (tiny)"
    comparisons = read_csv(Path("metrics/made/tables/comparisons.csv"), text=["task"])
    assert comparisons.query("metric == 'accuracy'")["low"].isna().all()


def prepared_pairs(call, **settings) -> None:
    """A task whose test rows share texts two by two, its runs and records; a second test set does the same."""
    prepare(call, voted_train=False, **settings)
    for split, seed in (("validation", 1), ("votes", 0)):
        write_rows(split, 30, seed, voted=True)
        path = Path(f"source/{split}.jsonl")
        path.write_text(2 * path.read_text())
    call(stages.prepare, "--task", "tiny")
    make_task_runs()
    call(stages.collect, "--task", "tiny")


def test_clusters_go_from_texts_to_records(call):
    prepared_pairs(call, also_test=SECOND)
    labels = pd.read_parquet(RECORDS / "test_labels.parquet")
    rows = pd.read_parquet("data/tiny/splits/test.parquet")
    assert labels[CLUSTER].nunique() == rows["text_a"].nunique() == 30
    assert (rows["text_a"].groupby(labels[CLUSTER]).nunique() == 1).all()
    assert CLUSTER not in pd.read_parquet(RECORDS / "selection_labels.parquet")
    kept = read_json(RECORDS / "also_test.json")
    assert (kept["rows"], kept["effective_rows"]) == (60, 30)


def test_a_second_test_set_of_one_document_is_told(call, capsys):
    prepared_pairs(call, also_test=SECOND)
    write_json(RECORDS / "also_test.json", read_json(RECORDS / "also_test.json") | {"effective_rows": 1.0})
    call(stages.evaluate)
    line = f"tiny: its 60 rows of {SECOND['name']} share texts or documents and count as 1.0 independent rows"
    assert f"warning: {line}; an interval needs 2" in capsys.readouterr().err


def test_the_effect_of_clusters_on_a_study_is_told(call, capsys):
    prepared_pairs(call, also_test=SECOND)
    call(stages.clusters, "--name", "made")
    told = capsys.readouterr().out
    assert "| tiny | 60 | 100.0 % | 30 | 30 |" in told
    assert "0 of 1 verdicts differ between intervals over rows and over clusters" in told


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["are gone", "have another text"])
def test_data_for_clusters_that(fault, call, capsys, record_fault):
    prepared_pairs(call)
    source = Path("source/validation.jsonl")
    if fault == "are gone":
        shutil.rmtree("source")
    else:
        source.write_text(source.read_text().replace("the", "a"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        call(stages.clusters, "--name", "made")
    said = capsys.readouterr()
    line = said.err.strip()
    assert (caught.value.code, said.out, line.splitlines()) == (1, "", [line])
    if fault != "are gone":
        assert line.startswith(f"error: {RECORDS}/task.json: the data here have other test rows; use the data that")
    record_fault("Audits", f"`stages.clusters` where the data of the study {fault}", f"`{line}`")
