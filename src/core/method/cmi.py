"""Conditional mutual information of a classifier's outputs, and the separation of its classes.

Each sample x has a distribution p_x: softmax(logits / tau) in class space, softmax(h / tau) in feature space, where
h is the vector that enters the classification head (for more, see `src.core.method.spaces`). With q_y the mean of p_x
over the samples labelled y,

    CMI   = mean over x of KL(p_x || q_y)                                   = I(X; Z | Y)
    Gamma = mean over all pairs (x, u) of H(p_x, p_u) where y_x != y_u, 0 elsewhere
    NCMI  = CMI / Gamma

docs/method.md, CMI: class space is that of CMIC-DL (arXiv 2309.09123), feature space the paper's (arXiv 2502.11258).
Everything is in nats. Sign convention of the whole project: cmi_weight > 0 minimises CMI.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# A KL divergence falls with tau^2, and what it is the difference of does not: an error of 1e-7 there is one of
# 1e-7 tau^2 in the loss. Above this tau the divergences of training are taken in float64, which the largest tau of
# params.yaml (1e5) leaves five digits.
FLOAT32_UP_TO = 10.0


class ClassSums(NamedTuple):
    """Per-class sums over samples: `totals` (C, D) and `counts` (C,)."""

    totals: Tensor
    counts: Tensor


class CmiMeasures(NamedTuple):
    """CMI and Gamma in nats, and their ratio NCMI."""

    cmi: float
    gamma: float
    ncmi: float


def log_probabilities(scores: Tensor, tau: float) -> Tensor:
    """log p_x of each row of scores: (N, D) logits or features to (N, D) log-probabilities, `wide_enough`."""
    return torch.log_softmax(wide_enough(scores, tau) / tau, dim=-1)


def wide_enough(scores: Tensor, tau: float) -> Tensor:
    """The scores in float32, or in float64 where they are or tau is above `FLOAT32_UP_TO`."""
    return scores.double() if scores.dtype == torch.float64 or tau > FLOAT32_UP_TO else scores.float()


def class_sums(values: Tensor, labels: Tensor, num_classes: int) -> ClassSums:
    """Sum the rows of `values` (N, D) by `labels` (N,).

    As a product with one-hot rows, because index_add is not deterministic on every device.
    """
    one_hot = torch.nn.functional.one_hot(labels, num_classes).to(values.dtype)
    return ClassSums(one_hot.T @ values, one_hot.sum(dim=0))


def class_means(sums: ClassSums) -> Tensor:
    """The mean of each class (C, D); a class without samples gets zeros."""
    return sums.totals / sums.counts.clamp(min=1).unsqueeze(1)


def kl_to_centroids(log_p: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """KL(p_x || q_y) of each sample, in nats.

    Args:
        log_p: (N, D) log-probabilities.
        labels: (N,) in 0 to C - 1.
        centroids: (C, D) probabilities; rows of classes that occur in labels must be positive where p_x is.

    Returns:
        (N,), each at least 0 up to rounding. The mean is the CMI.
    """
    log_q = centroids.clamp(min=torch.finfo(centroids.dtype).tiny).log()
    return (log_p.exp() * (log_p - log_q[labels])).sum(dim=-1)


def separation_from_centroids(log_p: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """The mean over labels z of KL(q_z || p_x), with 0 for the sample's own label, in nats: SEP_x of NCMI's loss.

    Args:
        log_p, labels: as for `kl_to_centroids`.
        centroids: (C, D) probabilities; a label without samples so far has zeros, and no part in the mean.

    Returns:
        (N,), each at least 0 up to rounding.
    """
    log_q = centroids.clamp(min=torch.finfo(centroids.dtype).tiny).log()
    kl = (centroids * (log_q - log_p.unsqueeze(1))).sum(dim=-1)
    others = torch.nn.functional.one_hot(labels, len(centroids)) == 0
    return (kl * others).sum(dim=1) / (centroids.sum(dim=1) > 0).sum()


def separation_of_sums(p_totals: Tensor, log_p_totals: Tensor, rows: int) -> Tensor:
    """Gamma in nats, from the class sums (C, D) of p and of log p over `rows` samples.

    The pairs need not be formed: summed over all pairs, H(p_x, p_u) = -sum_j p_x(j) log p_u(j) factorises into
    these sums (CMIC-DL).

    Returns:
        A scalar, at least 0.
    """
    log_p_totals_of_others = log_p_totals.sum(dim=0) - log_p_totals
    return -(p_totals * log_p_totals_of_others).sum() / rows**2


def separation(log_p: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Gamma of a set of samples, in nats, from log-probabilities (N, D) and labels (N,); a scalar, at least 0."""
    of_p, of_log_p = (class_sums(values, labels, num_classes) for values in (log_p.exp(), log_p))
    return separation_of_sums(of_p.totals, of_log_p.totals, len(labels))


@torch.no_grad()
def measure(scores: Tensor, labels: Tensor, num_classes: int, tau: float = 1.0) -> CmiMeasures:
    """CMI, Gamma and NCMI of a finished set of outputs, with the exact centroids.

    Computed in float64, since feature-space CMI can be as small as 1e-3 nats.

    Args:
        scores: (N, D) logits or features.
        labels: (N,).
    """
    return measure_log(log_probabilities(scores.double(), tau), labels, num_classes)


@torch.no_grad()
def measure_log(log_p: Tensor, labels: Tensor, num_classes: int) -> CmiMeasures:
    """The same from log-probabilities (N, D), which should be float64."""
    centroids = class_means(class_sums(log_p.exp(), labels, num_classes))
    cmi = kl_to_centroids(log_p, labels, centroids).mean().clamp(min=0).item()
    gamma = separation(log_p, labels, num_classes).item()
    return CmiMeasures(cmi, gamma, cmi / gamma if gamma > 0 else 0.0)
