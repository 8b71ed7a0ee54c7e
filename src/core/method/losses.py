"""Losses of single rows: on labels, on features, between two passes, and between a student and its teacher.

All are (n,) tensors in nats, except `mse`, `dist`, the centre loss and the length of h, which have no unit. Logits are
float32 or wider.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from src.core.method.cmi import log_probabilities, wide_enough
from src.core.method.spaces import SHORTEST
from src.params import CentreMap, KdLoss, Objective


def label_loss(logits: Tensor, labels: Tensor, settings: Objective) -> Tensor:
    """The loss of each row against its label.

    `ce`: cross-entropy against the smoothed label (1 - s) one-hot + s / C, with s = `label_smoothing`.
    `mse`: the squared distance of the probabilities to the one-hot label, 0 to 2, no unit. Hamidi et al. (2024) train
    teachers with it, because it estimates the posterior P(Y|x) better.
    """
    match settings.label_loss:
        case "ce":
            return F.cross_entropy(logits, labels, reduction="none", label_smoothing=settings.label_smoothing)
        case "mse":
            one_hot = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
            return ((logits.softmax(dim=-1) - one_hot) ** 2).sum(dim=-1)


def entropies(logits: Tensor) -> Tensor:
    """Entropy of each row's prediction, in nats, 0 to log C (the confidence penalty of Pereyra et al. 2017)."""
    log_p = log_probabilities(logits, 1.0)
    return -(log_p.exp() * log_p).sum(dim=-1)


def squared_norms(features: Tensor) -> Tensor:
    """The squared length of each row's h, no unit: (n, d) features to (n,)."""
    return features.float().square().sum(dim=-1)


def centre_distances(vectors: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Half the squared distance of each row's vector to its label's centre, no unit (centre loss; Wen et al. 2016).

    If the vectors h are close together, KL(softmax(h) || q_y) is 1 / d of this loss, up to the mean of h over its d
    entries (docs/controls.md, Controls of CMI in feature space).

    Args:
        vectors: (n, d), h after one of `CENTRE_MAPS`.
        labels: (n,).
        centres: (C, d), the mean vector of each label.
    """
    return 0.5 * (vectors - centres[labels]).square().sum(dim=-1)


def unit_vectors(features: Tensor) -> Tensor:
    """h / |h| of each row, no unit: (n, d) features to (n, d), float32 or wider."""
    return F.normalize(wide_enough(features, 1.0), dim=-1, eps=SHORTEST)


CENTRE_MAPS: dict[CentreMap, Callable[[Tensor], Tensor]] = {
    "none": lambda features: wide_enough(features, 1.0),
    "unit": unit_vectors,
}


def partners(labels: Tensor) -> Tensor:
    """Pairs of different rows with the same label: (n,) labels to (n, n), true for a pair.

    A batch of one class has no pairs, because it has no rows to contrast them with.
    """
    same = labels.unsqueeze(1) == labels
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device) & ~same.all()


def contrastive_losses(features: Tensor, are_partners: Tensor, tau: float) -> Tensor:
    """Supervised contrastive loss of each row, in nats (SCL; Gunel et al. 2021).

    With u = h / |h|, it is the mean over the partners j of row i of
    -log(exp(u_i u_j / tau) / sum over k != i of exp(u_i u_k / tau)). A row without a partner has 0.

    Args:
        features: (n, d).
        are_partners: (n, n), from `partners`.
    """
    unit = unit_vectors(features)
    scores = unit @ unit.T / tau
    itself = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    # A finite number in place of -inf makes the gradient of a batch of one row 0 and not NaN.
    others = scores.masked_fill(itself, torch.finfo(scores.dtype).min)
    log_shares = scores - others.logsumexp(dim=-1, keepdim=True)
    return -log_shares.where(are_partners, 0).sum(dim=-1) / are_partners.sum(dim=-1).clamp(min=1)


def kl_between_passes(logits: Tensor) -> Tensor:
    """KL(p || p') of each row, in nats, with p' the prediction of the row's other pass (R-Drop; Wu et al. 2021).

    Args:
        logits: (2 n, C), the rows of the first pass, then the same rows of the second. Gradients flow through both.
    """
    log_p = log_probabilities(logits, 1.0)
    return kl(log_p, log_p.roll(len(logits) // 2, dims=0))


def kd_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher/T) || softmax(student/T)) of each row, in nats.

    The factor T^2 keeps the gradient from shrinking as T grows (Hinton et al. 2015, section 2.1).

    Args:
        student, teacher: (n, C) logits.
    """
    return temperature**2 * kl(log_probabilities(teacher, temperature), log_probabilities(student, temperature))


def kd_logit_std(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`kd_kl` of logits standardised per row, so the student need not match the teacher's scale (Sun et al. 2024).

    As in the authors' code, the standard deviation has C - 1 in its denominator. With C, the same T would act as a
    temperature that is higher by the factor sqrt(C / (C - 1)).
    """
    return kd_kl(_standardised(student), _standardised(teacher), temperature)


def kd_dist(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 (1 - correlation over classes + 1 - correlation over the batch), per row, no unit (DIST, Huang et al. 2022).

    The first term keeps each row's ranking of the classes, the second keeps each class's ranking of the rows. With one
    process this is DIST as published. With several, the second term is over each process's own rows.
    """
    p_student, p_teacher = (log_probabilities(logits, temperature).exp() for logits in (student, teacher))
    over_classes = 1 - F.cosine_similarity(_centred(p_student, 1), _centred(p_teacher, 1), dim=1)
    over_rows = 1 - F.cosine_similarity(_centred(p_student, 0), _centred(p_teacher, 0), dim=0)
    return temperature**2 * (over_classes + over_rows.mean())


def kd_ttm(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(softmax(teacher/T) || softmax(student)) of each row, in nats. Only the teacher has the temperature.

    This is transformed teacher matching (arXiv 2402.11148). T times it is `kd_kl` minus an entropy of the student
    (docs/distillation.md, A temperature of the teacher alone). Its gradient does not fall with T, so there is no
    factor T^2.
    """
    return kl(log_probabilities(teacher, temperature), log_probabilities(student, 1.0))


def kd_wttm(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`kd_ttm` of each row times the power sum of its teacher, sum_j p_j^(1/T) with p = softmax(teacher).

    The power sum is 1 at T = 1. At a higher T it is 1 for a certain teacher and C^(1 - 1/T) for a uniform one. So rows
    about which the teacher is uncertain weigh more (WTTM of the same paper).
    """
    power_sum = (log_probabilities(teacher, 1.0) / temperature).logsumexp(dim=-1).exp()
    return power_sum * kd_ttm(student, teacher, temperature)


class Distance(NamedTuple):
    """A distance of a student's logits to its teacher's, per row, and its limits (`limit` says why)."""

    of_rows: Callable[[Tensor, Tensor, float], Tensor]
    least_classes: int = 2
    most_parts: float = math.inf
    limit: str = ""

    def fits(self, classes: int, parts: int) -> bool:
        """Whether the distance works for this number of classes and of parts of a batch."""
        return classes >= self.least_classes and parts <= self.most_parts


KD_LOSSES: dict[KdLoss, Distance] = {
    "kl": Distance(kd_kl),
    "logit_std": Distance(
        kd_logit_std,
        least_classes=3,
        limit="has no gradient with two classes, because their standardised logits are always -0.71 and 0.71",
    ),
    "dist": Distance(
        kd_dist,
        most_parts=1,
        limit="is not defined over several processes or parts of a batch",
    ),
    "ttm": Distance(kd_ttm),
    "wttm": Distance(kd_wttm),
}


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the last dimension, in nats: (..., C) log-probabilities to (...)."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def _standardised(logits: Tensor) -> Tensor:
    return _centred(logits, -1) / (logits.std(dim=-1, keepdim=True) + 1e-7)


def _centred(values: Tensor, dim: int) -> Tensor:
    return values - values.mean(dim=dim, keepdim=True)
