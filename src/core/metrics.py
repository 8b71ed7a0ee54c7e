"""Scores of predictions against labels.

Task scores, except the AUC, are functions of three counts per class (`ClassCounts`). The AUC and every probabilistic
score are means of values per row. NLL and KL are in nats, Brier is 0 to 2, Matthews -1 to 1; the others are shares.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 50  # the bounds of the search in `best_temperature`


class ClassCounts(NamedTuple):
    """Numbers of rows of each class, (..., C): predicted correctly, with the class as label, and as prediction."""

    right: np.ndarray
    labelled: np.ndarray
    predicted: np.ndarray


ClassScore = Callable[[ClassCounts], np.ndarray]
RowScore = Callable[[np.ndarray, np.ndarray], np.ndarray]  # from labels (N,) and logits (N, C) to (N,)


def accuracy(counts: ClassCounts) -> np.ndarray:
    """Share of rows predicted correctly."""
    return counts.right.sum(axis=-1) / counts.labelled.sum(axis=-1)


def f1(counts: ClassCounts) -> np.ndarray:
    """F1 of class 1, as GLUE reports it for MRPC and QQP; 0 if class 1 is neither present nor predicted."""
    return _f1_per_class(counts)[..., 1]


def macro_f1(counts: ClassCounts) -> np.ndarray:
    """Mean F1 over classes."""
    return _f1_per_class(counts).mean(axis=-1)


def matthews(counts: ClassCounts) -> np.ndarray:
    """Matthews correlation for any number of classes (Gorodkin 2004); 0 if it is undefined."""
    right, labelled, predicted = counts
    total = labelled.sum(axis=-1)
    covariance = right.sum(axis=-1) * total - (labelled * predicted).sum(axis=-1)
    # Each total is that of its own counts, which differ by rounding where row values are taken: then predictions of one
    # label leave exactly 0, and never less.
    of_labels = total**2 - (labelled**2).sum(axis=-1)
    of_predictions = predicted.sum(axis=-1) ** 2 - (predicted**2).sum(axis=-1)
    return _ratio(covariance, np.sqrt(of_labels * of_predictions))


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
    """Values of rows, (N,), whose mean is the AUC of each class against the rest, averaged over classes.

    For two classes the AUC is the share of pairs with different labels whose scores are in the right order. Equal
    scores count half. A row's value is the AUC plus the row's influence on it (`src.study.statistics.row_values`). A
    class that no row or every row has forms no pairs and is left out. Without any pairs the AUC is 0.5.
    """
    of_classes = [_auc_of_class(labels == name, _log_odds(logits, name)) for name in range(logits.shape[1])]
    known = [of_rows for of_rows in of_classes if of_rows is not None]
    return np.mean(known, axis=0) if known else np.full(len(labels), 0.5)


def nll_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of each row's label, in nats: (N,)."""
    return -_log_probabilities(logits)[np.arange(len(labels)), labels]


ROW_SCORES: dict[str, RowScore] = {"auc": auc_rows}  # metrics of tasks that class counts do not determine
CONSTANT_SCORES = {"auc": 0.5}  # the value of each one if all rows have the same logits


def brier_rows(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Squared distance of each row's probabilities to its one-hot label, summed over classes: (N,), 0 to 2."""
    one_hot = np.eye(logits.shape[1])[labels]
    return ((np.exp(_log_probabilities(logits)) - one_hot) ** 2).sum(axis=1)


def kl_to_human_rows(human: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """KL(human || model) of each row, in nats: (N,). `human` (N, C) has the raters' shares."""
    log_human = np.log(human, where=human > 0, out=np.zeros_like(human))
    return (human * (log_human - _log_probabilities(logits))).sum(axis=1)


def best_temperature(shares: np.ndarray, logits: np.ndarray) -> float:
    """The temperature t, within two bounds, at which softmax(logits / t) has the least mean KL(shares || model).

    Args:
        shares: (N, C), the raters' shares, or one-hot labels (the KL is then the NLL).
        logits: (N, C).
    """
    from scipy.optimize import minimize_scalar  # takes a quarter second, which other scores need not spend

    def kl(log_t: float) -> float:
        return float(kl_to_human_rows(shares, logits / np.exp(log_t)).mean())

    # The KL is convex in 1 / t, so it has one minimum.
    bounds = (np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE))
    return float(np.exp(minimize_scalar(kl, bounds=bounds, method="bounded").x))


def confidence_bins(confidence: np.ndarray, bins: int) -> np.ndarray:
    """The number of each row's bin, (N,), among B equal bins (k/B, (k+1)/B] of the top probability."""
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
    """The AUC of scores (N,) for a class, by row; None if one side has no rows."""
    from scipy.stats import rankdata  # takes a quarter second, which other scores need not spend

    count, of_class = len(positive), int(positive.sum())
    if of_class in (0, count):
        return None
    sizes = np.where(positive, of_class, count - of_class)  # the number of rows on the row's own side
    within = np.zeros(count)
    for side in (positive, ~positive):
        within[side] = rankdata(scores[side])
    below = (rankdata(scores) - within) / (count - sizes)  # share of the other side's rows that score less
    placed = np.where(positive, below, 1 - below)
    auc = placed[positive].mean()
    return auc + (placed - auc) * count / sizes


def _log_odds(logits: np.ndarray, name: int) -> np.ndarray:
    """log p / (1 - p) of a class, (N,). It has the order of p, and stays distinct where p rounds to 1."""
    return logits[:, name] - logsumexp(np.delete(logits.astype(float), name, axis=1), axis=1)


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    return log_softmax(logits.astype(float), axis=1)


def _f1_per_class(counts: ClassCounts) -> np.ndarray:
    return _ratio(2 * counts.right, counts.labelled + counts.predicted)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, or 0 where bottom is 0."""
    return np.divide(top, bottom, out=np.zeros_like(top, dtype=float), where=bottom != 0)
