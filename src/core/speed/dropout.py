"""Dropout on the CPU at a third of its cost.

torch draws one random number per element, on one thread. This takes a ninth of a training step on short texts and a
quarter on long ones, in which attention has most elements. Here one 64-bit number serves four elements, 16 bits each.

An element is dropped with probability p, rounded to a multiple of 2^-16 (0.1 becomes 0.100006). The scale of kept
elements follows from the rounded p, so the mean is exact. bf16 cannot represent every scale, so there p is also rounded
to one whose scale it can represent: 0.1 becomes 0.0986, and below 0.002 nothing is dropped.

GPUs have their own kernel for dropout.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from src.core.models.classifier import Classifier
from src.core.models.head_input import trial_inputs
from src.params import ModelSource
from src.system.errors import UserError

ATTENTION = "sdpa_with_cpu_dropout"
STEPS = 2**16


class CpuDropout(nn.Dropout):
    """`nn.Dropout` with 16 random bits per element."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop elements of a tensor (any shape) in training."""
        if not self.training or self.p == 0.0:
            return input
        return input * dropout_mask(input, self.p)


def dropout_mask(like: Tensor, p: float) -> Tensor:
    """A mask that is 0 with probability p, else 1 / (1 - p), in the shape and type of `like`."""
    dropped = steps_dropped(p, like.dtype)
    draws = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: like.numel()].view(like.shape)
    kept = at_least(bits, dropped - STEPS // 2) if dropped < STEPS else bits.zero_()
    return kept.to(like.dtype).mul_(STEPS / max(1, STEPS - dropped))


def at_least(bits: Tensor, lowest: int) -> Tensor:
    """1 where integers are at least `lowest`, else 0, in place. With booleans, torch takes ten times as long."""
    return torch.ge(bits, lowest, out=bits)


def steps_dropped(p: float, dtype: torch.dtype) -> int:
    """The number of the `STEPS` values of 16 bits that drop an element.

    It follows from the scale 1 / (1 - p) after rounding to the type, so the mean is exact.
    """
    if p == 1.0:
        return STEPS
    scale = float(torch.tensor(1 / (1 - p), dtype=dtype))
    return round(STEPS * (1 - 1 / scale))


def softmax(scores: Tensor) -> Tensor:
    """Softmax over the last dimension, in float32 or wider: in bf16, torch takes three times as long."""
    return scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention as transformers calls it: query (n, heads, q, d), key and value (n, heads, t, d).

    torch's own attention is used if nothing is dropped, or for causal masks, shared keys and biases.
    """
    special = more.get("is_causal") or getattr(module, "is_causal", False) or more.get("position_bias") is not None
    if special or key.shape[1] != query.shape[1] or not (module.training and dropout):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **more)
    scores = (query * (scaling or query.shape[-1] ** -0.5)) @ key.transpose(2, 3)
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    weights = softmax(scores)
    mixed = (weights * dropout_mask(weights, dropout)) @ value
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def use_cpu_dropout(model: PreTrainedModel) -> None:
    """Make all dropout layers of a model, and its attention, use `dropout_mask`."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, CpuDropout(child.p).train(child.training))
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(ATTENTION)


@torch.no_grad()
def check_dropout(source: ModelSource, classifier: Classifier, pad_id: int) -> None:
    """Check that a model has dropout, because R-Drop compares two passes under dropout.

    Raises:
        UserError: two passes give the same outputs.
    """
    inputs = trial_inputs(classifier.model, pad_id)
    classifier.eval().model.train()  # the classifier stays in evaluation, so that no pass becomes a CUDA graph
    with torch.random.fork_rng(devices=[]):
        first, second = (classifier(**inputs) for _ in range(2))
    classifier.eval()
    if all(torch.equal(*both) for both in zip(first, second, strict=True)):
        problem = f"{source.name} has no dropout, so r_drop_weight would compare two equal passes"
        raise UserError("params.yaml: models", problem, "set r_drop_weight to 0, or use a model with dropout")
