"""Clusters of test rows: rows that share a text or a document are not independent draws.

An interval then needs the spread of clusters instead of rows (the cluster-robust or "sandwich" variance; Liang & Zeger
1986). `clustered` turns a table of rows into a table of clusters with these mean squares, so `intervals` treats
clusters like rows. docs/statistics.md has the formulas.
"""

import numpy as np
from scipy.sparse import csr_array


def effective_number(clusters: np.ndarray) -> float:
    """The number of equal clusters with the same information: N^2 / sum of n_g^2, at most G (Carter et al. 2017)."""
    return len(clusters) ** 2 / float((np.bincount(clusters) ** 2).sum())


def group_sums(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Sums (G, D) of values (N, D) over the rows of each group. Unlike BLAS products, they do not depend on threads.

    Args:
        groups: (N,) numbers below `count`, which is G.
    """
    rows = len(groups)
    return csr_array((np.ones(rows), (groups, np.arange(rows))), shape=(count, rows)) @ values


def clustered(table: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, float]:
    """Values (R, G) of G clusters, from values (R, N) of their rows, and the effective number of clusters.

    A cluster's value is the run's mean plus a scaled sum of its rows' deviations from that mean. The scale is the
    effective number of clusters over N.
    """
    means, number = table.mean(axis=1, keepdims=True), effective_number(clusters)
    deviations = group_sums((table - means).T, clusters, clusters.max() + 1).T
    return means + number / len(clusters) * deviations, number
