"""How the last layers of a student and of its teacher relate the tokens of a text (MiniLM, arXiv 2002.10957).

docs/distillation.md, Relations between tokens, has the formula.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from src.core.method.cmi import wide_enough


class LastLayer(NamedTuple):
    """The last layer's queries, keys and values for n texts, each (n, heads, tokens, width).

    `known` (n, tokens) is true for a token and false for padding.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    known: Tensor


def relation_losses(student: LastLayer, teacher: LastLayer) -> Tensor:
    """The loss of each text, in nats: (n,).

    It is KL(teacher || student) of the attention of queries to keys, plus the same KL of the relations among values.
    Each is a mean over heads and over the tokens that attend. The two models may differ in width, not in heads.
    """
    attention = _mean_kl(
        _log_relations(teacher, "query", "key"), _log_relations(student, "query", "key"), student.known
    )
    values = _mean_kl(
        _log_relations(teacher, "value", "value"), _log_relations(student, "value", "value"), student.known
    )
    return attention + values


def _log_relations(layer: LastLayer, of: str, to: str) -> Tensor:
    """The log of softmax(left right^T / sqrt(width)) over the known tokens: (n, heads, tokens, tokens)."""
    left, right = (wide_enough(getattr(layer, name), 1.0) for name in (of, to))
    scores = left @ right.transpose(-1, -2) / left.shape[-1] ** 0.5
    padding = ~layer.known[:, None, None, :]
    return scores.masked_fill(padding, torch.finfo(scores.dtype).min).log_softmax(dim=-1)


def _mean_kl(log_p: Tensor, log_q: Tensor, known: Tensor) -> Tensor:
    """KL(p || q) of each text, a mean over heads and known tokens: (n,)."""
    kl = (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean(dim=1)
    return (kl * known).sum(dim=-1) / known.sum(dim=-1)
