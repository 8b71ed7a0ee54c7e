"""Conditional mutual information of a classifier's outputs, and the separation of its classes.

Each sample x has a distribution p_x: softmax(logits / tau) in class space, softmax(h / tau) in feature space. The
vector h enters the classification head; `src.core.method.spaces` has more maps of it. With q_y the mean of p_x over the
samples labelled y,

    CMI   = mean over x of KL(p_x || q_y)                                   = I(X; Z | Y)
    Gamma = mean over all pairs (x, u) of H(p_x, p_u) where y_x != y_u, 0 elsewhere
    NCMI  = CMI / Gamma

Class space comes from CMIC-DL (arXiv 2309.09123), feature space from the paper (arXiv 2502.11258): docs/method.md, CMI.
Everything is in nats. The sign convention of the whole project: cmi_weight > 0 minimises CMI.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# A KL divergence is a difference of two terms. It falls with tau^2, but the terms do not. So an error of 1e-7 in a term
# becomes one of 1e-7 tau^2 in the loss. Above this tau, training takes divergences in float64. At the largest tau of
# params.yaml (1e5), float64 leaves five digits.
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
    """log p_x of each row of scores: (N, D) logits or features to (N, D) log-probabilities.

    `wide_enough` chooses float32 or float64.
    """
    return torch.log_softmax(wide_enough(scores, tau) / tau, dim=-1)


def wide_enough(scores: Tensor, tau: float) -> Tensor:
    """The scores in float64 if they already are, or if tau is above `FLOAT32_UP_TO`; else in float32."""
    return scores.double() if scores.dtype == torch.float64 or tau > FLOAT32_UP_TO else scores.float()


def class_sums(values: Tensor, labels: Tensor, num_classes: int) -> ClassSums:
    """Sum the rows of `values` (N, D) by `labels` (N,).

    This is a product with one-hot rows, because index_add is not deterministic on every device.
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
        centroids: (C, D) probabilities. The row of a class that occurs in labels must be positive where p_x is.

    Returns:
        (N,), each at least 0 up to rounding. The mean is the CMI.
    """
    log_q = centroids.clamp(min=torch.finfo(centroids.dtype).tiny).log()
    return (log_p.exp() * (log_p - log_q[labels])).sum(dim=-1)


def separation_from_centroids(log_p: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """SEP_x of the NCMI loss: the mean over labels z of KL(q_z || p_x), with 0 for the sample's own label, in nats.

    Args:
        log_p, labels: as for `kl_to_centroids`.
        centroids: (C, D) probabilities. A label without samples so far has zeros and does not count in the mean.

    Returns:
        (N,), each at least 0 up to rounding.
    """
    log_q = centroids.clamp(min=torch.finfo(centroids.dtype).tiny).log()
    kl = (centroids * (log_q - log_p.unsqueeze(1))).sum(dim=-1)
    others = torch.nn.functional.one_hot(labels, len(centroids)) == 0
    return (kl * others).sum(dim=1) / (centroids.sum(dim=1) > 0).sum()


def separation_of_sums(p_totals: Tensor, log_p_totals: Tensor, rows: int) -> Tensor:
    """Gamma in nats, from the class sums (C, D) of p and of log p over `rows` samples.

    No pairs are formed: summed over all pairs, H(p_x, p_u) = -sum_j p_x(j) log p_u(j) factorises into these sums
    (CMIC-DL).

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

    They are computed in float64, because feature-space CMI can be as small as 1e-3 nats.

    Args:
        scores: (N, D) logits or features.
        labels: (N,).
    """
    return measure_log(log_probabilities(scores.double(), tau), labels, num_classes)


@torch.no_grad()
def measure_log(log_p: Tensor, labels: Tensor, num_classes: int) -> CmiMeasures:
    """CMI, Gamma and NCMI from log-probabilities (N, D), which should be float64, with the exact centroids."""
    centroids = class_means(class_sums(log_p.exp(), labels, num_classes))
    cmi = kl_to_centroids(log_p, labels, centroids).mean().clamp(min=0).item()
    gamma = separation(log_p, labels, num_classes).item()
    return CmiMeasures(cmi, gamma, cmi / gamma if gamma > 0 else 0.0)
