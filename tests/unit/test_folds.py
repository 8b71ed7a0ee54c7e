"""Cross-validation: how rows are cut into folds, what a run reads, and the interval over folds."""

import json
import shutil
from collections import Counter
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from src.data.preparation import prepare_task
from src.data.prepared import load_selection_labels, load_task, load_test_labels
from src.data.splits import fold_numbers, linked_groups
from src.params import Params, load_params
from src.repository.settings import settings_of_task
from src.runs import runs_of_task
from src.study.claims.contrasts import added
from src.study.drawing.study_results import load_results
from src.study.records.collecting import collect_task
from src.study.records.task_records import records_folder
from src.study.report.report import write_report
from src.study.simulations.simulated_folds import CORRECTED, CrossValidation, T, coverage
from src.study.statistics.intervals import RunValues, mean_over_folds
from src.system.files import read_csv, read_json
from stages.evaluate import evaluate
from stages.finetune import finetune
from tests.conftest import labelled_texts, params_content
from tests.support.repository import clone_with, run, stages_run, tiny_study
from tests.support.synthetic_study import make_runs

FOLDS, ROWS = 5, 100


def documents(count: int, seed: int = 0) -> pd.DataFrame:
    """Rows in documents of one to six rows, 30 % of them of label 1; every tenth has the text of an earlier one."""
    generator = np.random.default_rng(seed)
    rows = pd.DataFrame({"text_a": [f"text {row}" for row in range(count)]})
    rows["group"] = np.repeat(np.arange(count), generator.integers(1, 7, count))[:count].astype(str)
    rows["label"] = (generator.random(count) < 0.3).astype(int)
    rows.loc[9::10, "text_a"] = rows.loc[0 : count - 10 : 10, "text_a"].to_numpy()
    return rows


def test_no_document_and_no_text_is_in_two_folds():
    rows = documents(300)
    folds = fold_numbers(rows, FOLDS, np.random.default_rng(0))
    for key in (rows["group"], rows["text_a"], linked_groups(rows)):
        assert pd.Series(folds).groupby(np.asarray(key)).nunique().max() == 1
    assert sorted(set(folds)) == [*range(FOLDS)]


def test_folds_have_equal_sizes_and_the_label_shares_of_all_rows():
    rows = pd.DataFrame({"text_a": map(str, range(103)), "group": map(str, range(103)), "label": [0] * 70 + [1] * 33})
    folds = fold_numbers(rows, FOLDS, np.random.default_rng(0))
    assert sorted(np.bincount(folds)) == [20, 20, 21, 21, 21]
    assert [Counter(rows["label"][folds == fold])[0] for fold in range(FOLDS)] == [14] * 5
    assert (fold_numbers(rows, FOLDS, np.random.default_rng(0)) == folds).all()
    assert (fold_numbers(rows, FOLDS, np.random.default_rng(1)) != folds).any()


def study(tiny_encoder, rounds: int = 1, **settings) -> Params:
    """Params, written to the current folder, of a tiny task with folds: two teachers and a student, an epoch each."""
    source = Path("source")
    source.mkdir(exist_ok=True)
    content = tiny_study(tiny_encoder, source)
    lines = labelled_texts(ROWS, 0, noise=0.2)
    (source / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    content |= {"seeds": [*range(FOLDS * rounds)]}
    content["splits"]["folds"] = FOLDS
    content["finetune"]["arms"] = {"ce": {"cmi_weight": 0.0}, "cmi_min": {"cmi_weight": 1.0}}
    content["distill"]["recipes"] = {}
    for section in ("finetune", "student"):
        content[section]["training"]["epochs"] = 1
    content["evaluate"]["claims"] = {"alone": params_content()["evaluate"]["claims"]["alone"]}
    content["task_settings"]["tiny"] |= {"path": str(source.absolute()), "test_split": None} | settings
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return load_params()


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory, tiny_encoder) -> Path:
    """A folder with two rounds of five folds of the tiny task."""
    folder = tmp_path_factory.mktemp("folds")
    with chdir(folder):
        prepare_task("tiny", study(tiny_encoder, rounds=2))
    return folder


@pytest.fixture
def prepared(tmp_path, monkeypatch, prepared_once) -> Params:
    """The same in the current folder."""
    monkeypatch.chdir(shutil.copytree(prepared_once, tmp_path / "work"))
    return load_params()


def test_a_round_tests_each_row_once_and_the_next_round_cuts_anew(prepared):
    tasks = [load_task("tiny", seed=seed) for seed in prepared.seeds]
    rounds = [[set(task.test.row_ids) for task in tasks[start : start + FOLDS]] for start in (0, FOLDS)]
    for folds in rounds:
        assert sum(map(len, folds)) == len(set.union(*folds)) == ROWS
    assert rounds[0] != rounds[1]
    for task in tasks:
        parts = [task.train, task.selection, task.test]
        assert sorted(row for part in parts for row in part.row_ids) == sorted(f"train_{row}" for row in range(ROWS))
        texts = [set(part.texts) for part in parts]
        assert not texts[0] & texts[1]
        assert not texts[2] & (texts[0] | texts[1])


def test_test_labels_of_a_seed_lie_apart_from_what_its_runs_read(prepared):
    for seed in prepared.seeds:
        own = Path("data/tiny/splits", str(seed))
        labelled = {path.name for path in own.iterdir() if "label" in pd.read_parquet(path)}
        assert labelled == {"train.parquet", "selection.parquet"}
        hidden = pd.read_parquet(f"data/tiny/test_labels/{seed}/test.parquet")
        assert hidden["row_id"].tolist() == load_task("tiny", seed=seed).test.row_ids
    for labels in (load_test_labels("tiny"), load_selection_labels("tiny")):
        assert labels["seed"].unique().tolist() == prepared.seeds
    assert Counter(load_test_labels("tiny")["row_id"]) == {f"train_{row}": 2 for row in range(ROWS)}


def test_only_folded_tasks_have_seeds_in_their_settings(params, tmp_path, monkeypatch, tiny_encoder):
    monkeypatch.chdir(tmp_path)
    plain = settings_of_task(params, "vader-movie")["vader-movie/data.json"]
    assert plain["splits"] == {"seed": 0, "selection": 0.1, "test": 0.2}
    assert plain.keys() == {"task", "splits"}
    assert settings_of_task(study(tiny_encoder), "tiny")["tiny/data.json"]["seeds"] == [0, 1, 2, 3, 4]
    assert "seeds" not in settings_of_task(study(tiny_encoder, folds=1), "tiny")["tiny/data.json"]


def test_the_interval_over_folds_is_nadeau_and_bengios():
    """J = 5, S^2 = 2.5 and n_test / n_train = 1/4: a variance of (1/5 + 1/4) 2.5 = 1.125, with 4 degrees of freedom."""
    found = mean_over_folds(np.arange(1.0, 6.0), 0.25)
    assert (found.mean, found.standard_error, found.freedom) == pytest.approx((3.0, 1.125**0.5, 4.0))
    half = 2.776445 * 1.125**0.5  # Student's t at 97.5 % with 4 degrees of freedom
    assert found.interval(0.95) == pytest.approx((3 - half, 3 + half), abs=1e-5)
    twice = mean_over_folds(np.tile(np.arange(1.0, 6.0), 2), 0.25)  # S^2 = 20/9
    assert twice.standard_error == pytest.approx(((1 / 10 + 1 / 4) * 20 / 9) ** 0.5)
    assert mean_over_folds(np.arange(4.0), 0.25).standard_error is None  # four folds are fewer than five seeds


def test_of_two_arms_the_one_that_learns_from_fewer_rows_counts():
    values = RunValues(np.array([1.0, 2, 3, 4, 5, 0, 0, 0, 0, 0]), test_ratios=np.repeat([0.25, 0.5], 5))
    first, second = [*range(5)], [*range(5, 10)]
    assert values.estimate(first).standard_error == pytest.approx(1.125**0.5)
    assert values.estimate(first, second).standard_error == pytest.approx(((1 / 5 + 1 / 2) * 2.5) ** 0.5)
    contrast = added(values, [[first], [second]], 1.0)
    assert contrast.estimate(first, second).standard_error == pytest.approx(1.75**0.5)


def test_the_correction_holds_where_arms_depend_on_the_data_set():
    found = coverage(CrossValidation(200, 2, "one"), 100).set_index("metric")["coverage"]
    assert found[T] < 0.85
    assert found[CORRECTED] > 0.93


def test_a_run_reads_neither_a_test_label_nor_the_cut_of_another_seed(prepared):
    shutil.rmtree("data/tiny/test_labels")
    for seed in set(prepared.seeds) - {3}:
        shutil.rmtree(f"data/tiny/splits/{seed}")
    finetune(prepared, "tiny", "ce", 3)
    predicted = pd.read_parquet("runs/tiny/teacher/ce/3/logits.parquet")
    assert predicted.query("split == 'test'")["row_id"].tolist() == load_task("tiny", seed=3).test.row_ids


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, prepared_once) -> Path:
    """A folder with the records and tables of runs with random outputs on each seed's own rows, and nothing else."""
    folder = shutil.copytree(prepared_once, tmp_path_factory.mktemp("evaluated") / "work")
    generator = np.random.default_rng(0)
    with chdir(folder):
        params = load_params()
        for seed in params.seeds:
            files = Path("data/tiny").glob(f"*/{seed}/*.parquet")
            splits = {path.stem: rows for path in sorted(files) if "label" in (rows := pd.read_parquet(path))}
            make_runs(params.model_copy(update={"seeds": [seed]}), "tiny", splits, generator=generator)
        collect_task("tiny", runs_of_task(params, "tiny"), records_folder("tiny", "tiny"), 15, 0)
        for part in ("data", "runs", "source"):
            shutil.rmtree(part)
        evaluate(params)
    return folder


def test_scores_are_means_over_folds_and_intervals_are_corrected(evaluated):
    metrics = evaluated / "metrics/tiny"
    records, tables = metrics / "records/tiny", metrics / "tables"
    predictions = pd.read_parquet(records / "predictions.parquet").query("split == 'test' and role == 'teacher'")
    rows = predictions.merge(pd.read_parquet(records / "test_labels.parquet"), on=["seed", "row_id"])
    assert len(rows) == 2 * 2 * ROWS  # arms and rounds
    rows["right"] = (rows["logit_1"] > rows["logit_0"]) == rows["label"]
    scores = rows.groupby(["arm", "seed"])["right"].mean().unstack("arm")
    gains = (scores["cmi_min"] - scores["ce"]).to_numpy()
    learnt = read_csv(tables / "runs.csv").query("arm == 'ce'")["learnt_rows"]

    compared = read_csv(tables / "comparisons.csv").query("role == 'teacher'").set_index("metric")
    accuracy = compared.loc["accuracy"]
    assert accuracy["difference"] == pytest.approx(gains.mean(), abs=1e-8)
    ratio = (rows.query("arm == 'ce'").groupby("seed").size() / learnt.to_numpy()).mean()
    error = ((1 / 10 + ratio) * gains.var(ddof=1)) ** 0.5
    assert accuracy["standard_error"] == pytest.approx(error, abs=1e-8)
    assert (accuracy["n"], accuracy["freedom"]) == (10, 9)
    assert compared["p_sign_flip"].isna().all()
    assert compared.loc[["nll", "feature_cmi"], "low"].notna().all()
    assert read_json(metrics / "summary.json")["tiny"]["ce"] == pytest.approx(scores["ce"].mean(), abs=1e-4)
    [claim] = read_json(metrics / "claims.json")["claims"]
    assert claim["tasks"][0]["low"] == accuracy["low"]


def test_the_report_says_what_is_cross_validated(evaluated, monkeypatch):
    monkeypatch.chdir(evaluated)
    write_report(Path("report.html"), load_results(load_params()))
    page = Path("report.html").read_text()
    assert "Cross-validation: 100 rows in 5 folds" in page
    assert "(2 rounds)" in page
    assert "test of seed 9" in page


@pytest.mark.process
@pytest.mark.slow
def test_dvc_runs_folds_and_a_new_round_after_them(tmp_path, tiny_encoder, monkeypatch, warm_stages):
    """The same cut for the same seed: a second round leaves the results of the first as they were."""
    monkeypatch.chdir(tmp_path)
    study(tiny_encoder)
    content, clone = yaml.safe_load(Path("params.yaml").read_text()), tmp_path / "clone"
    content["finetune"]["arms"] = {"ce": {}}
    content["evaluate"]["claims"] = {}
    clone_with(clone, content)
    run(clone, "dvc", "repro")
    assert stages_run(run(clone, "dvc", "repro")) == ["settings"]
    first = pd.read_parquet(clone / "metrics/tiny/records/tiny/predictions.parquet")
    content["seeds"] = [*range(2 * FOLDS)]
    (clone / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    assert "prepare@tiny" in stages_run(run(clone, "dvc", "repro"))
    both = pd.read_parquet(clone / "metrics/tiny/records/tiny/predictions.parquet")
    assert both[both["seed"] < FOLDS].reset_index(drop=True).equals(first)
    assert read_csv(clone / "metrics/tiny/tables/arms.csv")["n"].eq(2 * FOLDS).all()
