"""Scores of predictions against labels, in the forms that the paired bootstrap needs.

Every task score is a function of the confusion matrix, and works on any number of them at once: (..., C, C),
rows are labels, columns predictions. Every probabilistic score is a mean of per-row values. All scores are shares
between 0 and 1 (Matthews: -1 to 1); NLL and KL are in nats.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import log_softmax

ConfusionScore = Callable[[np.ndarray], np.ndarray]


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of rows on the diagonal."""
    return _diagonal(confusion).sum(axis=-1) / confusion.sum(axis=(-2, -1))


def f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of class 1, as GLUE reports it for MRPC and QQP; 0 where class 1 is neither present nor predicted."""
    return _f1_per_class(confusion)[..., 1]


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean F1 over classes."""
    return _f1_per_class(confusion).mean(axis=-1)


def matthews(confusion: np.ndarray) -> np.ndarray:
    """Matthews correlation for any number of classes (Gorodkin 2004); 0 where it is undefined."""
    total = confusion.sum(axis=(-2, -1))
    labels, predictions = confusion.sum(axis=-1), confusion.sum(axis=-2)
    covariance = _diagonal(confusion).sum(axis=-1) * total - (labels * predictions).sum(axis=-1)
    variances = (total**2 - (labels**2).sum(axis=-1)) * (total**2 - (predictions**2).sum(axis=-1))
    return _ratio(covariance, np.sqrt(variances))


CONFUSION_SCORES: dict[str, ConfusionScore] = {
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "matthews": matthews,
}


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts (C, C) of label and prediction pairs."""
    pairs = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes).astype(float)


def task_scores(names: list[str], labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """The named scores of logits (N, C) against labels (N,)."""
    confusion = confusion_matrix(labels, logits.argmax(axis=1), logits.shape[1])
    return {name: float(CONFUSION_SCORES[name](confusion)) for name in names}


def nll_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of each row's label, in nats: (N,)."""
    return -_log_probabilities(logits)[np.arange(len(labels)), labels]


def brier_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Squared distance of each row's probabilities to its one-hot label, summed over classes: (N,), 0 to 2."""
    one_hot = np.eye(logits.shape[1])[labels]
    return ((np.exp(_log_probabilities(logits)) - one_hot) ** 2).sum(axis=1)


def kl_to_human_rows(human: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """KL(human || model) of each row, in nats: (N,). `human` (N, C) are the raters' shares."""
    log_human = np.log(human, where=human > 0, out=np.zeros_like(human))
    return (human * (log_human - _log_probabilities(logits))).sum(axis=1)


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


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    return log_softmax(logits.astype(float), axis=1)


def _diagonal(confusion: np.ndarray) -> np.ndarray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _f1_per_class(confusion: np.ndarray) -> np.ndarray:
    return _ratio(2 * _diagonal(confusion), confusion.sum(axis=-1) + confusion.sum(axis=-2))


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, and 0 where bottom is 0."""
    return np.divide(top, bottom, out=np.zeros_like(top, dtype=float), where=bottom != 0)
