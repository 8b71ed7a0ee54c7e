"""Clusters of test rows: rows that have a text or a document in common are not independent draws.

An interval then needs the spread of the clusters in place of that of the rows (the cluster-robust or "sandwich"
variance; Liang & Zeger 1986). `clustered` makes a table of clusters of a table of rows, whose mean squares are just
these; all that `src.study.intervals` does with rows it can do with clusters. docs/statistics.md has the formulas.
"""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from src.data.labelled_text import CLUSTER


def clusters_of(labels: pd.DataFrame) -> np.ndarray | None:
    """The clusters (N,) of labelled rows, numbers from 0; None where no two rows share one or where none are known."""
    if CLUSTER not in labels or labels[CLUSTER].is_unique:
        return None
    return pd.factorize(labels[CLUSTER])[0]


def effective_number(clusters: np.ndarray) -> float:
    """The number of clusters of equal size that say as much: N^2 / sum of n_g^2, at most G (Carter et al. 2017)."""
    return len(clusters) ** 2 / float((np.bincount(clusters) ** 2).sum())


def clustered(table: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Values (R, G) of G clusters of rows with values (R, N).

    A cluster's value is the mean of its run plus the sum of its rows' deviations from that mean, times the effective
    number of clusters over N. Unlike products of BLAS they are the same on any threads.
    """
    means, rows = table.mean(axis=1, keepdims=True), len(clusters)
    members = csr_array((np.ones(rows), (clusters, np.arange(rows))))
    return means + effective_number(clusters) / rows * (members @ (table - means).T).T


def cluster_warnings(task: str, clusters: np.ndarray | None) -> list[str]:
    """A line where a task's test rows hang together so far that there is no interval."""
    if clusters is None or (count := effective_number(clusters)) >= 2:
        return []
    return [
        f"{task}: its {len(clusters)} test rows share so many texts or documents that they count as {count:.1f} "
        "independent ones, which give no interval"
    ]
