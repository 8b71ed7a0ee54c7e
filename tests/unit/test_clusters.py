"""Test rows that share texts: which rows are a cluster, what intervals make of clusters, and how often these hold."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import stages.clusters
import stages.collect
import stages.evaluate
import stages.prepare
from src.data.labelled_text import CLUSTER
from src.data.splits import text_clusters
from src.files import read_csv, read_json, write_parquet
from src.study.clusters import clustered
from src.study.departures import CLUSTER_SIZES, coverage_with_clusters, coverage_with_failures
from src.study.intervals import Estimate, RunValues, products_of
from src.study.records import clusters_of
from src.study.simulation import Setting
from tests.support.synthetic_study import make_study
from tests.unit.test_votes import SECOND, make_task_runs, prepare, write_rows

RECORDS = Path("metrics/made/records/tiny")
NFC, NFD = "\u00e9", "e\u0301"


def pairs(*texts: tuple[str, str], groups: list[str] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(texts, columns=["text_a", "text_b"])
    return table.assign(group=groups or [str(number) for number in range(len(texts))])


def test_rows_with_one_text_in_common_are_a_cluster_and_links_are_followed():
    rows = pairs(("a", "b"), ("c", "d"), ("a", "e"), ("f", "e"), ("g", "f"), ("h", "i"))
    assert text_clusters(rows).tolist() == [0, 1, 0, 0, 0, 2]


def test_rows_of_a_document_are_a_cluster():
    assert text_clusters(pairs(("a", "b"), ("c", "d"), ("e", "f"), groups=["x", "y", "x"])).tolist() == [0, 1, 0]


def test_an_empty_text_links_nothing_and_unicode_forms_are_one():
    rows = pairs(("a", ""), ("b", " "), (f"caf{NFC}", "c"), ("d", f"caf{NFD}"))
    assert text_clusters(rows).tolist() == [0, 1, 2, 2]


def values(rows: int = 40, seeds: int = 6) -> np.ndarray:
    """Values of 2 * `seeds` runs, with effects of seeds, rows and both."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(2 * seeds, rows)) + 2 * generator.normal(size=rows)
    return 3 + noise + generator.normal(size=(2 * seeds, 1))


def estimate(table: np.ndarray, clusters: np.ndarray, seeds: int = 6) -> Estimate:
    of_clusters, rows = clustered(table, clusters)
    found = RunValues(table.mean(axis=1), of_clusters, rows=rows)
    return found.estimate([*range(seeds)], [*range(seeds, 2 * seeds)])


def numbers(found: Estimate) -> list[float | None]:
    return [found.mean, found.standard_error, found.freedom]


def test_clusters_of_one_row_change_nothing():
    table = values()
    plain = RunValues(table.mean(axis=1), table).estimate([*range(6)], [*range(6, 12)])
    assert numbers(estimate(table, np.arange(40))) == pytest.approx(numbers(plain), rel=1e-12)
    assert clusters_of(pd.DataFrame({CLUSTER: range(40)})) is None
    assert clusters_of(pd.DataFrame({"label": [0, 0]})) is None


@pytest.mark.parametrize("times", [2, 5])
def test_rows_that_are_copies_count_once(times):
    table = values()
    plain = RunValues(table.mean(axis=1), table).estimate([*range(6)], [*range(6, 12)])
    found = estimate(np.repeat(table, times, axis=1), np.repeat(np.arange(40), times))
    assert numbers(found) == pytest.approx(numbers(plain), rel=1e-12)


def test_the_variance_is_that_of_the_formula():
    """docs/statistics.md, written out, for clusters of 1 to 8 rows where all three terms count."""
    table, clusters = values(), np.repeat(np.arange(8), [1, 2, 3, 4, 6, 8, 8, 8])
    difference = table[:6] - table[6:]
    means, mean = difference.mean(axis=1), difference.mean()
    of_rows, rest = 0.0, 0.0
    for cluster in range(8):
        own = difference[:, clusters == cluster]
        of_rows += 6 * (own.mean(axis=0) - mean).sum() ** 2
        rest += (((own - own.mean(axis=0)).sum(axis=1) - own.shape[1] * (means - mean)) ** 2).sum()
    number = 40**2 / (1 + 4 + 9 + 16 + 36 + 3 * 64)
    of_rows, rest = (number / 40 * square / (number - 1) for square in (of_rows, rest / 5))
    of_seeds = 40 * ((means - mean) ** 2).sum() / 5
    expected = max(of_seeds + of_rows - rest, of_seeds, of_rows) / (6 * 40)
    assert estimate(table, clusters).standard_error ** 2 == pytest.approx(expected, rel=1e-12)


def test_products_of_runs_hold_the_clusters_too():
    table, clusters = values(), np.arange(40) // 3
    of_clusters, rows = clustered(table, clusters)
    kept = RunValues(table.mean(axis=1), products=products_of(of_clusters), rows=rows)
    found = kept.estimate([*range(6)], [*range(6, 12)])
    assert numbers(found) == pytest.approx(numbers(estimate(table, clusters)), rel=1e-9)


def test_a_cluster_that_has_most_rows_makes_an_interval_wider_not_narrower():
    """Sums over rows that are independent all the same: the error is right on average."""
    generator, clusters = np.random.default_rng(0), np.r_[np.zeros(25, int), np.arange(1, 16)]
    errors = []
    for _ in range(400):
        rows = generator.normal(size=40)  # the same for each seed: no other effect
        of_clusters, number = clustered(np.tile(rows, (6, 1)), clusters)
        found = RunValues(np.full(6, rows.mean()), of_clusters, rows=number)
        errors.append(found.estimate([*range(6)]).standard_error ** 2)
    assert np.mean(errors) == pytest.approx(1 / 40, rel=0.2)


@pytest.mark.study
def test_intervals_over_clusters_hold_the_truth_where_those_over_rows_do_not():
    """Short form of `make intervals`: 150 studies."""
    setting = Setting(300, 10, 0.15, row_spread=1.0, cluster_sizes=CLUSTER_SIZES)
    found = coverage_with_clusters(setting, 150).set_index("metric")["coverage"]
    assert found["accuracy, clusters"] > 0.9 > found["accuracy, rows"]


@pytest.mark.study
def test_where_runs_of_one_arm_fail_intervals_hold_the_truth_too_seldom():
    found = coverage_with_failures(Setting(300, 5, 0.15, margin=2.06, failures=0.1), 150)
    assert found["coverage"].between(0.6, 0.85).all()


CLAIM = {"statement": "x", "role": "teacher", "family": "cmi_min", "against": "ce"}
CLAIM |= {"direction": "higher", "worthwhile": 0.01}


def tables(call) -> dict[str, bytes]:
    call(stages.evaluate)
    return {path.name: path.read_bytes() for path in Path("metrics/made/tables").iterdir()}


def with_clusters(clusters: np.ndarray) -> None:
    """Put clusters into the records, as if the prepared test labels had had them."""
    path = RECORDS / "test_labels.parquet"
    write_parquet(path, pd.read_parquet(path).assign(**{CLUSTER: clusters}))


@pytest.mark.study
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
    line = "tiny: its 60 test rows share so many texts or documents that they count as 1.0 independent ones"
    assert f"warning: {line}, which give no interval" in capsys.readouterr().err
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


@pytest.mark.study
def test_clusters_go_from_texts_to_records(call):
    prepared_pairs(call, also_test=SECOND)
    labels = pd.read_parquet(RECORDS / "test_labels.parquet")
    rows = pd.read_parquet("data/tiny/splits/test.parquet")
    assert labels[CLUSTER].nunique() == rows["text_a"].nunique() == 30
    assert (rows["text_a"].groupby(labels[CLUSTER]).nunique() == 1).all()
    assert CLUSTER not in pd.read_parquet(RECORDS / "selection_labels.parquet")
    kept = read_json(RECORDS / "also_test.json")
    assert (kept["rows"], kept["effective_rows"]) == (60, 30)


@pytest.mark.study
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
        assert line.startswith(
            f"error: {RECORDS}/task.json: the test rows of the data here are others; use the data that"
        )
    record_fault("Audits", f"`stages.clusters` where the data of the study {fault}", f"`{line}`")
