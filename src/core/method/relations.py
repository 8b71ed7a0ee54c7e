"""How the last layers of a student and of its teacher relate the tokens of a text (MiniLM, arXiv 2002.10957).

docs/distillation.md, Relations between tokens, has the formula.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from src.core.method.cmi import wide_enough
from src.core.method.losses import kl


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
    of_tokens = kl(_log_relations(teacher), _log_relations(student)).sum(dim=0).mean(dim=1)
    return (of_tokens * student.known).sum(dim=-1) / student.known.sum(dim=-1)


def _log_relations(layer: LastLayer) -> Tensor:
    """The logs of attention and of the relations among values, over the known tokens: (2, n, heads, tokens, tokens)."""
    left = wide_enough(torch.stack([layer.query, layer.value]), 1.0)
    right = wide_enough(torch.stack([layer.key, layer.value]), 1.0)
    scores = left @ right.transpose(-1, -2) / left.shape[-1] ** 0.5
    return scores.masked_fill(~layer.known[:, None, None, :], torch.finfo(scores.dtype).min).log_softmax(dim=-1)
