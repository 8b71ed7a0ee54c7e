"""The coverage of intervals in studies that depart from their assumptions: `make intervals` prints the tables.

In some studies, test rows are in clusters of 2 to 4, and an arm is better or worse in a whole cluster. In others, some
runs of one arm fail and predict one label. `src.study.simulations.simulation` makes the studies.
"""

import argparse
import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from src.study.simulations.simulation import Setting, estimate_of, print_table, simulated_arms, summary
from src.study.statistics.row_values import statistics_of

CLUSTERED, FAILING = ["accuracy", "nll"], ["accuracy"]
CLUSTER_SIZES = (2, 3, 4)
FAILURES, MARGIN = 0.1, 2.06  # one run in ten falls from an accuracy of 0.85 to 0.5, the accuracy of one label
ROWS, SEEDS, SPREAD = (300, 1000), (5, 10), 0.15


def coverage_with_clusters(setting: Setting, replicates: int) -> pd.DataFrame:
    """The table of `coverage`, for intervals that treat rows as independent and for intervals over clusters.

    Returns:
        metric, coverage and width. The name of a metric ends with `rows` or `clusters`.
    """
    found: dict[str, list] = {}
    for metric, table in _differences(setting, CLUSTERED, replicates):
        found.setdefault(f"{metric}, rows", []).append(estimate_of(table))
        found.setdefault(f"{metric}, clusters", []).append(estimate_of(table, setting.clusters))
    return pd.DataFrame([summary(name, 0.0, estimates) for name, estimates in found.items()])


def coverage_with_failures(setting: Setting, replicates: int) -> pd.DataFrame:
    """The same for accuracy, in studies where runs of one arm fail. The true difference is their mean loss."""
    found = [estimate_of(table) for _, table in _differences(setting, FAILING, replicates)]
    return pd.DataFrame([summary("accuracy", -setting.failures * (setting.accuracy - 0.5), found)])


def _differences(setting: Setting, metrics: list[str], replicates: int) -> Iterator[tuple[str, np.ndarray]]:
    """For each study and metric, the differences (S, N) of its two arms, second minus first."""
    generator = np.random.default_rng([0, setting.rows, setting.seeds])
    statistics = statistics_of(["accuracy"], has_humans=False, ece_bins=15)
    for _ in range(replicates):
        arms = simulated_arms(setting, generator)
        for metric in metrics:
            first, second = (np.stack([statistics[metric](run).known_rows() for run in arm]) for arm in arms)
            yield metric, second - first


def main() -> None:
    """Print the tables of docs/coverage.md on clusters and on runs that fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000, help="simulated studies of each size")
    replicates, sizes = parser.parse_args().replicates, [*itertools.product(ROWS, SEEDS)]
    print("\nRows in clusters of 2 to 4, intervals over rows and over clusters:\n")
    clusters = {size: Setting(*size, SPREAD, row_spread=1.0, cluster_sizes=CLUSTER_SIZES) for size in sizes}
    names = [f"{metric}, {over}" for metric in CLUSTERED for over in ("rows", "clusters")]
    found = ((size, coverage_with_clusters(setting, replicates)) for size, setting in clusters.items())
    print_table(["rows", "seeds", *names], found)
    print("\nOne run in ten of one arm predicts one label:\n")
    failures = {size: Setting(*size, SPREAD, margin=MARGIN, failures=FAILURES) for size in sizes}
    found = ((size, coverage_with_failures(setting, replicates)) for size, setting in failures.items())
    print_table(["rows", "seeds", *FAILING], found)


if __name__ == "__main__":
    main()
