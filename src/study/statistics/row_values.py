"""Test statistics of a run, their values in each row, and tests over seeds.

Some statistics, such as F1 or Gamma, are not a mean over rows. Their value in a row is the statistic plus the row's
influence: N times the derivative by the row's weight. The mean of these values is the statistic, and intervals over
rows use their spread (the infinitesimal jackknife; Efron 1982).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from src.core import metrics
from src.core.metrics import ClassCounts, ClassScore
from src.study.statistics.clusters import clustered, group_sums
from src.study.statistics.intervals import RunValues

STEP = 0.01  # change of a row's weight in both directions; a derivative has a relative error of (STEP / N)^2
MOST_EXACT_SEEDS = 32  # counting their 2^32 sign flips takes 5 ms; 40 seeds take 80 ms
RANDOM_FLIPS = 9999
# Sums within this share of the summed absolute differences count as ties. Scores near 1, such as accuracies, have
# rounding errors of 1e-16 in differences of 1e-4. Other sums are rarely so close.
EQUAL_SUMS = 1e-9


@dataclass(frozen=True)
class PredictedRows:
    """Predictions and labels of one run.

    `labels` has shape (N,), `logits` (N, C), and `human` (N, C), the raters' shares, or is None. At `best_temperature`
    the run is nearest to the raters on selection rows.
    """

    labels: np.ndarray
    logits: np.ndarray
    human: np.ndarray | None
    best_temperature: float = 1.0

    @property
    def num_classes(self) -> int:
        """C."""
        return self.logits.shape[1]

    @cached_property
    def log_p(self) -> np.ndarray:
        """log softmax(logits), (N, C)."""
        return log_softmax(self.logits.astype(float), axis=1)


class Measured(NamedTuple):
    """A statistic of a run, and its values in the rows (N,), or None. Their mean is the statistic, up to rounding."""

    value: float
    of_rows: np.ndarray | None

    def known_rows(self) -> np.ndarray:
        """The values (N,) in the rows, for a statistic that has them."""
        assert self.of_rows is not None
        return self.of_rows


Statistic = Callable[[PredictedRows], Measured]


def statistics_of(task_metrics: list[str], has_humans: bool, ece_bins: int) -> dict[str, Statistic]:
    """The statistics reported for a task: its own metrics, calibration, information, distance to human votes."""
    chosen: dict[str, Statistic] = {name: _of_task(name) for name in task_metrics}
    chosen["nll"] = lambda rows: _mean(metrics.nll_rows(rows.labels, rows.logits))
    chosen["brier"] = lambda rows: _mean(metrics.brier_rows(rows.labels, rows.logits))
    chosen["ece"] = partial(_ece, ece_bins)
    chosen |= {"class_cmi": _cmi, "class_gamma": _gamma, "class_ncmi": _ncmi}
    if has_humans:
        chosen["kl_to_human"] = lambda rows: _kl_to_human(rows, 1.0)
        chosen["kl_to_human_tempered"] = lambda rows: _kl_to_human(rows, rows.best_temperature)
    return chosen


def metrics_of_runs(
    runs: list[PredictedRows],
    task_metrics: list[str],
    ece_bins: int,
    clusters: np.ndarray | None = None,
    test_ratios: np.ndarray | None = None,
) -> dict[str, RunValues]:
    """The values of every statistic for some runs.

    All runs predict the same rows, with `clusters` (N,) from `clusters_of`. With `test_ratios` (R,), as in `RunValues`,
    each run predicts the rows of its fold.
    """
    statistics = statistics_of(task_metrics, runs[0].human is not None, ece_bins)
    return {
        name: run_values([statistic(run) for run in runs], clusters, test_ratios)
        for name, statistic in statistics.items()
    }


def run_values(
    found: list[Measured], clusters: np.ndarray | None = None, test_ratios: np.ndarray | None = None
) -> RunValues:
    """The values of one statistic for some runs; the arguments are as in `metrics_of_runs`."""
    of_runs = np.array([one.value for one in found])
    if found[0].of_rows is None:
        return RunValues(of_runs, has_error=False, test_ratios=test_ratios)
    if test_ratios is not None:
        return RunValues(of_runs, test_ratios=test_ratios)
    of_rows = np.stack([one.known_rows() for one in found])
    if clusters is None:
        return RunValues(of_runs, of_rows)
    of_clusters, number = clustered(of_rows, clusters)
    return RunValues(of_runs, of_clusters, rows=number)


def best_temperature(rows: PredictedRows) -> float:
    """The temperature t with the smallest mean KL(human || softmax(logits / t)).

    For rows without ratings, every rater counts as voting for the label. KL is then the NLL.
    """
    shares = np.eye(rows.num_classes)[rows.labels] if rows.human is None else rows.human
    return metrics.best_temperature(shares, rows.logits)


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided p-value of paired differences, one per seed: how often random signs give as large a mean.

    Up to 32 seeds it is exact and at least 2 / 2^n, so 1.0 for one seed. With more seeds it is an estimate from 9,999
    draws of the signs with a fixed random state. A p of 0.05 then has a standard error of 0.003.
    """
    share = _share_of_all_flips if len(differences) <= MOST_EXACT_SEEDS else _share_of_random_flips
    return min(1.0, 2 * share(differences, abs(differences.sum()) - EQUAL_SUMS * np.abs(differences).sum()))


def _share_of_all_flips(differences: np.ndarray, bound: float) -> float:
    """The share of all 2^n sums of signed differences that reach a bound.

    Each sum adds one of 2^(n/2) sums of the first half of the differences to one of the second half. For each sum of
    the first half, a search in the sorted sums of the second half counts those that reach the bound.
    """
    first, second = (_signed_sums(half) for half in np.array_split(differences, 2))
    reached = len(second) - np.searchsorted(second, bound - first)
    return int(reached.sum()) / 2 ** len(differences)


def _share_of_random_flips(differences: np.ndarray, bound: float) -> float:
    """The same share, from random signs. The observed signs count as one draw, so the share is never 0."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (RANDOM_FLIPS, len(differences)))
    return (1 + int((signs @ differences >= bound).sum())) / (1 + RANDOM_FLIPS)


def _signed_sums(terms: np.ndarray) -> np.ndarray:
    """The sums of the terms under all signs, ascending: (2^n,)."""
    sums = np.zeros(1)
    for term in terms:
        sums = np.sort(np.concatenate([sums - term, sums + term]), kind="stable")
    return sums


def holm(p_values: list[float]) -> list[float]:
    """The p-values with Holm's correction for the family-wise error rate, in the given order."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1.0)
    return adjusted[np.argsort(order, kind="stable")].tolist()


def _of_task(metric: str) -> Statistic:
    """The statistic for a metric that a task asks for."""
    if metric in metrics.CLASS_SCORES:
        return partial(_score, metrics.CLASS_SCORES[metric])
    return lambda rows: _mean(metrics.ROW_SCORES[metric](rows.labels, rows.logits))


def _mean(values: np.ndarray) -> Measured:
    return Measured(float(values.mean()), values)


def _score(score: ClassScore, rows: PredictedRows) -> Measured:
    """A function of the class counts. Its derivative by a row's weight is a central difference."""
    predictions, count = rows.logits.argmax(axis=1), len(rows.labels)
    labelled, predicted = (numbers[:, None] == np.arange(rows.num_classes) for numbers in (rows.labels, predictions))
    of_rows = np.stack([labelled & predicted, labelled, predicted])  # (3, N, C): ClassCounts of single rows
    of_all = of_rows.sum(axis=1, keepdims=True, dtype=float)
    step = STEP * (of_rows - of_all / count)
    slope = (score(ClassCounts(*(of_all + step))) - score(ClassCounts(*(of_all - step)))) / (2 * STEP)
    value = float(score(ClassCounts(*of_all[:, 0])))
    return Measured(value, value + count * slope)


def _ece(bins: int, rows: PredictedRows) -> Measured:
    """Expected calibration error: the mean over rows of their bin's |accuracy - confidence|.

    It has no values per row. Chance alone gives every bin a gap, so on few rows the error is biased upwards by more
    than its spread. A calibrated model has 0.06 on 277 rows.
    """
    in_bins = metrics.reliability(rows.labels, rows.logits, bins)
    gaps = np.abs(in_bins["accuracy"] - in_bins["confidence"])
    return Measured(float((in_bins["count"] * gaps).sum()) / len(rows.labels), None)


def _kl_to_human(rows: PredictedRows, temperature: float) -> Measured:
    assert rows.human is not None  # `statistics_of` was called with has_humans
    return _mean(metrics.kl_to_human_rows(rows.human, rows.logits / temperature))


def _cmi(rows: PredictedRows) -> Measured:
    """CMI in class space, in nats: the mean of KL(p || q_y). Centroids minimise it, so their derivative is 0."""
    log_p, p, counts = rows.log_p, np.exp(rows.log_p), np.bincount(rows.labels, minlength=rows.num_classes)
    centroids = _class_sums(p, rows) / np.maximum(counts, 1)[:, None]
    log_q = np.log(np.maximum(centroids, np.finfo(float).tiny))
    return _mean((p * (log_p - log_q[rows.labels])).sum(axis=1))


def _gamma(rows: PredictedRows) -> Measured:
    """Gamma: the mean over pairs of rows of H(p_x, p_u) if the labels differ, else 0. A row is first and second."""
    log_p, p = rows.log_p, np.exp(rows.log_p)
    log_p_of_others, p_of_others = (
        (values.sum(axis=0) - _class_sums(values, rows))[rows.labels] / len(p) for values in (log_p, p)
    )
    as_first, as_second = -(p * log_p_of_others).sum(axis=1), -(p_of_others * log_p).sum(axis=1)
    value = float(as_first.mean())
    return Measured(value, as_first + as_second - value)


def _ncmi(rows: PredictedRows) -> Measured:
    """CMI / Gamma; 0 where Gamma is 0."""
    cmi, gamma = _cmi(rows), _gamma(rows)
    if gamma.value <= 0:
        return _mean(np.zeros(len(rows.labels)))
    ratio = cmi.value / gamma.value
    return Measured(ratio, ratio + (cmi.known_rows() - ratio * gamma.known_rows()) / gamma.value)


def _class_sums(values: np.ndarray, rows: PredictedRows) -> np.ndarray:
    """The sums (C, D) of values (N, D) over the rows of each label."""
    return group_sums(values, rows.labels, rows.num_classes)
