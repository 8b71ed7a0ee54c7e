"""Test rows that share texts: which rows form a cluster, and intervals over clusters."""

import numpy as np
import pandas as pd
import pytest

from src.data.sources.labelled_text import CLUSTER
from src.data.splits import text_clusters
from src.study.records.task_records import clusters_of
from src.study.statistics.clusters import clustered
from src.study.statistics.intervals import Estimate, RunValues, products_of

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
