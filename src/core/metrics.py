"""Scores of predictions against labels.

A task score is a function of three counts per class, `ClassCounts`, but for the AUC; that and every probabilistic score
is a mean of per-row values. All scores are shares between 0 and 1 (Matthews: -1 to 1); NLL and KL are in nats.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 50  # between which `best_temperature` searches


class ClassCounts(NamedTuple):
    """Rows of each class, (..., C): predicted rightly, with that label, and with that prediction."""

    right: np.ndarray
    labelled: np.ndarray
    predicted: np.ndarray


ClassScore = Callable[[ClassCounts], np.ndarray]
RowScore = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of labels (N,) and logits (N, C): (N,)


def accuracy(counts: ClassCounts) -> np.ndarray:
    """Share of rows predicted rightly."""
    return counts.right.sum(axis=-1) / counts.labelled.sum(axis=-1)


def f1(counts: ClassCounts) -> np.ndarray:
    """F1 of class 1, as GLUE reports it for MRPC and QQP; 0 where class 1 is neither present nor predicted."""
    return _f1_per_class(counts)[..., 1]


def macro_f1(counts: ClassCounts) -> np.ndarray:
    """Mean F1 over classes."""
    return _f1_per_class(counts).mean(axis=-1)


def matthews(counts: ClassCounts) -> np.ndarray:
    """Matthews correlation for any number of classes (Gorodkin 2004); 0 where it is undefined."""
    right, labelled, predicted = counts
    total = labelled.sum(axis=-1)
    covariance = right.sum(axis=-1) * total - (labelled * predicted).sum(axis=-1)
    variances = (total**2 - (labelled**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    return _ratio(covariance, np.sqrt(variances))


CLASS_SCORES: dict[str, ClassScore] = {"accuracy": accuracy, "f1": f1, "macro_f1": macro_f1, "matthews": matthews}


def class_counts(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> ClassCounts:
    """The counts (C,) of labels (N,) and predictions (N,)."""
    counted = (labels[labels == predictions], labels, predictions)
    return ClassCounts(*(np.bincount(rows, minlength=num_classes).astype(float) for rows in counted))


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts (C, C) of label and prediction pairs."""
    pairs = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes).astype(float)


def task_scores(names: list[str], labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """The named scores of logits (N, C) against labels (N,)."""
    counts = class_counts(labels, logits.argmax(axis=1), logits.shape[1])
    of_classes = {name: float(CLASS_SCORES[name](counts)) for name in names if name in CLASS_SCORES}
    of_rows = {name: float(ROW_SCORES[name](labels, logits).mean()) for name in names if name in ROW_SCORES}
    return {name: (of_classes | of_rows)[name] for name in names}


def auc_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """AUC, one class against the rest and averaged over classes, as a value of each row whose mean it is: (N,).

    For two classes it is the share of pairs with different labels whose scores are in the right order; equal scores
    count half. A row's value is the AUC and the row's influence on it (`src.study.statistics.row_values`). Classes that
    no row has, or every row, have no pairs and are left out; without any pairs the AUC is 0.5.
    """
    of_classes = [_auc_of_class(labels == name, _log_odds(logits, name)) for name in range(logits.shape[1])]
    known = [of_rows for of_rows in of_classes if of_rows is not None]
    return np.mean(known, axis=0) if known else np.full(len(labels), 0.5)


def nll_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of each row's label, in nats: (N,)."""
    return -_log_probabilities(logits)[np.arange(len(labels)), labels]


ROW_SCORES: dict[str, RowScore] = {"auc": auc_rows}  # metrics of tasks that are no function of the class counts
CONSTANT_SCORES = {"auc": 0.5}  # what each of them is where all rows have the same logits


def brier_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Squared distance of each row's probabilities to its one-hot label, summed over classes: (N,), 0 to 2."""
    one_hot = np.eye(logits.shape[1])[labels]
    return ((np.exp(_log_probabilities(logits)) - one_hot) ** 2).sum(axis=1)


def kl_to_human_rows(human: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """KL(human || model) of each row, in nats: (N,). `human` (N, C) are the raters' shares."""
    log_human = np.log(human, where=human > 0, out=np.zeros_like(human))
    return (human * (log_human - _log_probabilities(logits))).sum(axis=1)


def best_temperature(shares: np.ndarray, logits: np.ndarray) -> float:
    """The temperature t at which softmax(logits / t) has the least mean KL(shares || model), between two bounds.

    Args:
        shares: (N, C), the raters' or one-hot labels, for which the KL is the NLL.
        logits: (N, C).
    """
    from scipy.optimize import minimize_scalar  # a quarter second, which other scores should not spend

    def kl(log_t: float) -> float:
        return float(kl_to_human_rows(shares, logits / np.exp(log_t)).mean())

    # The KL is convex in 1 / t, so it has one minimum.
    bounds = (np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE))
    return float(np.exp(minimize_scalar(kl, bounds=bounds, method="bounded").x))


def confidence_bins(confidence: np.ndarray, bins: int) -> np.ndarray:
    """The number of each row's bin (N,) among equal bins (k/B, (k+1)/B] of the top probability."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def reliability(labels: np.ndarray, logits: np.ndarray, bins: int) -> dict[str, np.ndarray]:
    """Per confidence bin (B,): count, mean confidence and accuracy; 0 in empty bins."""
    probabilities = np.exp(_log_probabilities(logits))
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    number = confidence_bins(confidence, bins)
    count = np.bincount(number, minlength=bins)
    return {
        "count": count,
        "confidence": _ratio(np.bincount(number, confidence, bins), count),
        "accuracy": _ratio(np.bincount(number, correct, bins), count),
    }


def _auc_of_class(positive: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
    """The AUC of scores (N,) for a class, by row; None where one side has no rows."""
    from scipy.stats import rankdata  # a quarter second, which other scores should not spend

    count, of_class = len(positive), int(positive.sum())
    if of_class in (0, count):
        return None
    sizes = np.where(positive, of_class, count - of_class)  # of the row's own side
    within = np.zeros(count)
    for side in (positive, ~positive):
        within[side] = rankdata(scores[side])
    below = (rankdata(scores) - within) / (count - sizes)  # share of the other side's rows that score less
    placed = np.where(positive, below, 1 - below)
    auc = placed[positive].mean()
    return auc + (placed - auc) * count / sizes


def _log_odds(logits: np.ndarray, name: int) -> np.ndarray:
    """log p / (1 - p) of a class (N,): in the order of its probability, and distinct where that rounds to 1."""
    return logits[:, name] - logsumexp(np.delete(logits.astype(float), name, axis=1), axis=1)


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    return log_softmax(logits.astype(float), axis=1)


def _f1_per_class(counts: ClassCounts) -> np.ndarray:
    return _ratio(2 * counts.right, counts.labelled + counts.predicted)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, and 0 where bottom is 0."""
    return np.divide(top, bottom, out=np.zeros_like(top, dtype=float), where=bottom != 0)
