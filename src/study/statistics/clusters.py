"""Clusters of test rows: rows that have a text or a document in common are not independent draws.

An interval then needs the spread of the clusters in place of that of the rows (the cluster-robust or "sandwich"
variance; Liang & Zeger 1986). `clustered` makes a table of clusters of a table of rows, whose mean squares are just
these; `intervals` can do with clusters all that it does with rows. docs/statistics.md has the formulas.
"""

import numpy as np
from scipy.sparse import csr_array


def effective_number(clusters: np.ndarray) -> float:
    """The number of clusters of equal size that say as much: N^2 / sum of n_g^2, at most G (Carter et al. 2017)."""
    return len(clusters) ** 2 / float((np.bincount(clusters) ** 2).sum())


def group_sums(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """The sums (G, D) of values (N, D) over the rows of each group; unlike products of BLAS the same on any threads.

    Args:
        groups: (N,) numbers below `count`, which is G.
    """
    rows = len(groups)
    return csr_array((np.ones(rows), (groups, np.arange(rows))), shape=(count, rows)) @ values


def clustered(table: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, float]:
    """Values (R, G) of G clusters of rows with values (R, N), and the effective number of clusters.

    A cluster's value is the mean of its run plus the sum of its rows' deviations from that mean, times the effective
    number of clusters over N.
    """
    means, number = table.mean(axis=1, keepdims=True), effective_number(clusters)
    deviations = group_sums((table - means).T, clusters, clusters.max() + 1).T
    return means + number / len(clusters) * deviations, number


def cluster_warnings(task: str, clusters: np.ndarray | None) -> list[str]:
    """A line where a task's test rows hang together so far that there is no interval."""
    if clusters is None or (count := effective_number(clusters)) >= 2:
        return []
    return [
        f"{task}: its {len(clusters)} test rows share so many texts or documents that they count as {count:.1f} "
        "independent ones, which give no interval"
    ]
