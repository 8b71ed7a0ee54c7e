"""Test statistics of a run, and the paired bootstrap over seeds and examples.

Each statistic is a function of sums over test rows. A resample of the rows is a vector of counts, so its sums
are one product of counts with per-row moments, and every run and every statistic can share the same resamples:
that is what makes the differences paired. Moments are sparse: a row adds to the few sums of its own label, bin or
cell, so that 150 classes, whose statistics need 45,000 sums, cost little more than two.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_array
from scipy.special import log_softmax

from src.core import metrics

RESAMPLES_AT_ONCE = 50
MOST_EXACT_SEEDS = 32  # whose 2^32 sign flips are counted in 5 ms; eight more take 80 ms
RANDOM_FLIPS = 9999
# Sums no farther apart than this share of all the differences are ties: scores of about 1, such as accuracies, leave
# rounding errors of 1e-16 in differences of 1e-4. Sums of other numbers are rarely so close.
EQUAL_SUMS = 1e-9


@dataclass(frozen=True)
class PredictedRows:
    """What a run predicts for rows, and what is true of them.

    `labels` (N,), `logits` (N, C), and `human` (N, C), the raters' shares, or None. `best_temperature` is that at which
    the run is nearest to the raters on other rows.
    """

    labels: np.ndarray
    logits: np.ndarray
    human: np.ndarray | None
    best_temperature: float = 1.0

    @property
    def num_classes(self) -> int:
        """C."""
        return self.logits.shape[1]

    @property
    def log_p(self) -> np.ndarray:
        """log softmax(logits), (N, C)."""
        return log_softmax(self.logits.astype(float), axis=1)


@dataclass(frozen=True)
class Statistic:
    """`moments`: per-row terms (N, M), sparse; `value`: from their sums (..., M) to the statistic (...)."""

    moments: Callable[[PredictedRows], csr_array]
    value: Callable[[np.ndarray], np.ndarray]

    def of(self, rows: PredictedRows) -> float:
        """The statistic of all rows."""
        return float(self.value(self.moments(rows).sum(axis=0)))


def statistics_of(task_metrics: list[str], num_classes: int, has_humans: bool, ece_bins: int) -> dict[str, Statistic]:
    """The statistics that a task is reported in: its own metrics, calibration, information, human distributions."""
    chosen = {name: _confusion_statistic(metrics.CONFUSION_SCORES[name], num_classes) for name in task_metrics}
    chosen["nll"] = _mean_statistic(lambda rows: metrics.nll_rows(rows.labels, rows.logits))
    chosen["brier"] = _mean_statistic(lambda rows: metrics.brier_rows(rows.labels, rows.logits))
    chosen["ece"] = _ece_statistic(ece_bins)
    chosen |= _information_statistics(num_classes)
    if has_humans:
        chosen["kl_to_human"] = _mean_statistic(lambda rows: metrics.kl_to_human_rows(rows.human, rows.logits))
        chosen["kl_to_human_tempered"] = _mean_statistic(
            lambda rows: metrics.kl_to_human_rows(rows.human, rows.logits / rows.best_temperature)
        )
    return chosen


def best_temperature(rows: PredictedRows) -> float:
    """The temperature t at which softmax(logits / t) has the least mean KL(human || model)."""

    def kl(log_t: float) -> float:
        return float(metrics.kl_to_human_rows(rows.human, rows.logits / np.exp(log_t)).mean())

    # The KL is convex in 1 / t, so it has one minimum.
    return float(np.exp(minimize_scalar(kl, bounds=(np.log(0.05), np.log(50)), method="bounded").x))


def bootstrap(
    statistics: dict[str, Statistic], runs: list[PredictedRows], samples: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Each statistic of each run under resampled test rows.

    Args:
        runs: all over the same N test rows, which are drawn with replacement, the same draw for every run.

    Returns:
        For each statistic (samples, runs).
    """
    counts = _row_counts(len(runs[0].labels), samples, seed)
    by_run = [_resampled(statistics, run, counts) for run in runs]
    return {name: np.stack([values[name] for values in by_run], axis=1) for name in statistics}


def _row_counts(rows: int, samples: int, seed: int) -> np.ndarray:
    """How often each row is drawn in each resample: (samples, rows).

    A byte holds a count: that one of more than 255 rows is drawn more often has a chance below 1e-500.
    """
    generator, counts = np.random.default_rng(seed), np.empty((samples, rows), np.uint8)
    for first in range(0, samples, RESAMPLES_AT_ONCE):
        part = counts[first : first + RESAMPLES_AT_ONCE]
        part[:] = generator.multinomial(rows, np.full(rows, 1 / rows), size=len(part))
    return counts


def _resampled(statistics: dict[str, Statistic], run: PredictedRows, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Each statistic of one run under resamples (samples, N): (samples,)."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    # CMI, Gamma and NCMI have their moments in common: each kind is computed and summed once.
    moments = {kind: kind(run) for kind in {one.moments: None for one in statistics.values()}}
    for first in range(0, len(counts), RESAMPLES_AT_ONCE):
        weights = counts[first : first + RESAMPLES_AT_ONCE].astype(float)
        sums = {kind: weights @ terms for kind, terms in moments.items()}
        for name, statistic in statistics.items():
            parts[name].append(statistic.value(sums[statistic.moments]))
    return {name: np.concatenate(values) for name, values in parts.items()}


def interval(resampled: np.ndarray, confidence: float, seed: int = 1) -> tuple[float, float]:
    """A percentile interval over seeds and examples.

    Args:
        resampled: (samples, seeds) values under resampled rows; in each sample the seeds are drawn anew too.
        confidence: such as 0.95.

    Returns:
        Lower and upper end, for the mean over seeds.
    """
    samples, seeds = resampled.shape
    drawn = np.random.default_rng(seed).integers(seeds, size=(samples, seeds))
    means = np.take_along_axis(resampled, drawn, axis=1).mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided p-value of paired differences, one per seed: how often random signs give as large a mean.

    Exact for up to 32 seeds, and then no less than 2 / 2^n, so 1.0 for one seed. For more seeds it is estimated from
    9,999 random draws of the signs, always the same ones: a p of 0.05 has a standard error of 0.003.
    """
    share = _share_of_all_flips if len(differences) <= MOST_EXACT_SEEDS else _share_of_random_flips
    return min(1.0, 2 * share(differences, abs(differences.sum()) - EQUAL_SUMS * np.abs(differences).sum()))


def _share_of_all_flips(differences: np.ndarray, bound: float) -> float:
    """The share of all 2^n sums of signed differences that reach a bound.

    Each is one of the 2^(n/2) sums of the first half of the differences plus one of the second half's. For each of the
    former a search in the sorted latter counts those that reach the bound.
    """
    first, second = (_signed_sums(half) for half in np.array_split(differences, 2))
    reached = len(second) - np.searchsorted(second, bound - first)
    return int(reached.sum()) / 2 ** len(differences)


def _share_of_random_flips(differences: np.ndarray, bound: float) -> float:
    """The same of random signs; the signs as they are count as one draw, so that the share is never 0."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (RANDOM_FLIPS, len(differences)))
    return (1 + int((signs @ differences >= bound).sum())) / (1 + RANDOM_FLIPS)


def _signed_sums(terms: np.ndarray) -> np.ndarray:
    """The sums of the terms under all signs, ascending: (2^n,)."""
    sums = np.zeros(1)
    for term in terms:
        sums = np.sort(np.concatenate([sums - term, sums + term]), kind="stable")
    return sums


def holm(p_values: list[float]) -> list[float]:
    """Holm's correction: p-values adjusted so that the family-wise error rate holds; in the order given."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1.0)
    return adjusted[np.argsort(order, kind="stable")].tolist()


def _moments(values: np.ndarray, columns: np.ndarray, width: int) -> csr_array:
    """Sparse (N, width): the values (N, K) of each row in its columns (N, K)."""
    rows, per_row = values.shape
    return csr_array((values.ravel(), columns.ravel(), np.arange(rows + 1) * per_row), shape=(rows, width))


def _confusion_statistic(score: metrics.ConfusionScore, num_classes: int) -> Statistic:
    def moments(rows: PredictedRows) -> csr_array:
        cells = rows.labels * num_classes + rows.logits.argmax(axis=1)
        return _moments(np.ones((len(cells), 1)), cells[:, None], num_classes**2)

    return Statistic(moments, lambda sums: score(sums.reshape(*sums.shape[:-1], num_classes, num_classes)))


def _mean_statistic(values: Callable[[PredictedRows], np.ndarray]) -> Statistic:
    def moments(rows: PredictedRows) -> csr_array:
        return csr_array(np.stack([values(rows), np.ones(len(rows.labels))], axis=1))

    return Statistic(moments, lambda sums: sums[..., 0] / sums[..., 1])


def _ece_statistic(bins: int) -> Statistic:
    """Expected calibration error: over bins, |correct rows - summed confidence| / rows."""

    def moments(rows: PredictedRows) -> csr_array:
        confidence, correct = np.exp(rows.log_p).max(axis=1), rows.logits.argmax(axis=1) == rows.labels
        in_bin = metrics.confidence_bins(confidence, bins)
        values = np.stack([correct - confidence, np.ones(len(in_bin))], axis=1)
        return _moments(values, np.stack([in_bin, np.full(len(in_bin), bins)], axis=1), bins + 1)

    return Statistic(moments, lambda sums: np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1])


def _information_statistics(num_classes: int) -> dict[str, Statistic]:
    """CMI, Gamma and NCMI in class space, from class sums of p and log p (METHOD sections 2 and 4)."""
    cells = num_classes**2

    def moments(rows: PredictedRows) -> csr_array:
        log_p, p, labels = rows.log_p, np.exp(rows.log_p), rows.labels[:, None]
        values = [p, log_p, (p * log_p).sum(axis=1, keepdims=True), np.ones(labels.shape)]
        of_class = labels * num_classes + np.arange(num_classes)
        columns = [of_class, cells + of_class, np.full_like(labels, 2 * cells), 2 * cells + 1 + labels]
        return _moments(np.concatenate(values, axis=1), np.concatenate(columns, axis=1), 2 * cells + 1 + num_classes)

    def parts(sums: np.ndarray) -> tuple[np.ndarray, ...]:
        shape = (*sums.shape[:-1], num_classes, num_classes)
        p, log_p = (sums[..., first : first + cells].reshape(shape) for first in (0, cells))
        return p, log_p, sums[..., 2 * cells], sums[..., 2 * cells + 1 :]

    def cmi(sums: np.ndarray) -> np.ndarray:
        # The mean of KL(p || q_y) is H(Z|Y) - H(Z|X): the centroids' entropy less the samples' own.
        p, _, p_log_p, counts = parts(sums)
        centroids = p / np.maximum(counts, 1)[..., None]
        log_q = np.log(np.maximum(centroids, np.finfo(float).tiny))
        return (p_log_p - (p * log_q).sum(axis=(-2, -1))) / counts.sum(axis=-1)

    def gamma(sums: np.ndarray) -> np.ndarray:
        p, log_p, _, counts = parts(sums)
        log_p_of_others = log_p.sum(axis=-2, keepdims=True) - log_p
        return -(p * log_p_of_others).sum(axis=(-2, -1)) / counts.sum(axis=-1) ** 2

    def ncmi(sums: np.ndarray) -> np.ndarray:
        top, bottom = cmi(sums), gamma(sums)
        return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)

    return {f"class_{value.__name__}": Statistic(moments, value) for value in (cmi, gamma, ncmi)}
