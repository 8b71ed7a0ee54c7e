"""Finds the vector that enters a classifier's head, by running the model.

Heads of different kinds of models read different vectors, and the names of modules do not reveal which. So two short
rows, one of them padded, go through the model. The gradient of the logits shows which of the backbone's outputs they
use, and how much each token counts. A model is refused before training if its head reads something else, or if its
outputs for a text change with the padding.
"""

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

Inputs = dict[str, Tensor]
Rule = Callable[[Tensor, Inputs, int], Tensor]

LONG, SHORT = 13, 7  # tokens of the two rows: primes, which no stride or chunk divides
HEAD_SCALE = 0.02  # scale of the random numbers that replace the head's weights, which may be 0
EMBEDDINGS = "embeddings"
ROUNDING = 1e-4  # share of the largest number; a smaller one is rounding and no dependence
PADDING_EFFECT = 1e-4  # share of a vector's length; a smaller effect is rounding, even in deep models


def first_token(hidden: Tensor, inputs: Inputs, pad_id: int) -> Tensor:
    """The first token's state: (n, d) from (n, tokens, d)."""
    return hidden[:, 0]


def last_token(hidden: Tensor, inputs: Inputs, pad_id: int) -> Tensor:
    """The state of the last token that is not the pad token.

    As in transformers, a pad token that a tokenizer adds to the text is skipped too.
    """
    known = inputs["input_ids"] != pad_id
    places = (torch.arange(known.shape[1], device=known.device) * known).argmax(dim=1)
    # With `len`, an exporter would fix the number of rows to its example's.
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), places]


def mean_of_tokens(hidden: Tensor, inputs: Inputs, pad_id: int) -> Tensor:
    """The mean of the states of all tokens that the mask keeps."""
    mask = inputs["attention_mask"]
    return (hidden * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def whole(pooled: Tensor, inputs: Inputs, pad_id: int) -> Tensor:
    """The pooled vector, (n, d), unchanged."""
    return pooled


RULES: tuple[Rule, ...] = (first_token, last_token, mean_of_tokens)


class Unreadable(Exception):
    """No vector is known to enter the head. The message says why."""


class HeadInput(NamedTuple):
    """The vector h that enters a head: the name of its source in `watch`, and the rule that makes h from it."""

    source: str
    rule: Rule


def watch(
    model: PreTrainedModel, seen: dict[str, Tensor], change: Callable[[Tensor], Tensor] = lambda vectors: vectors
) -> list[RemovableHandle]:
    """Record in `seen`, by name, the vectors that a model passes to its head, after `change` has replaced them."""

    def backbone(_module: object, _inputs: object, outputs: dict[str, Tensor]) -> None:
        for name in ("last_hidden_state", "pooler_output"):
            if name in outputs:
                outputs[name] = seen[name] = change(outputs[name])

    def pooler(_module: object, _inputs: object, output: Tensor) -> Tensor:
        seen["pooler"] = change(output)
        return seen["pooler"]

    handles = [model.base_model.register_forward_hook(backbone)]
    outside = getattr(model, "pooler", None)  # outside the backbone, as in DeBERTa
    return handles + ([outside.register_forward_hook(pooler)] if isinstance(outside, nn.Module) else [])


@contextmanager
def _watched(
    model: PreTrainedModel, change: Callable[[Tensor], Tensor] = lambda vectors: vectors
) -> Generator[dict[str, Tensor]]:
    seen: dict[str, Tensor] = {}
    handles = watch(model, seen, change)
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def understood(model: PreTrainedModel, inputs: Inputs) -> Inputs:
    """The inputs that a model's `forward` names. A model without segments does not name them, for example."""
    names = _named_inputs(type(model))
    return {name: values for name, values in inputs.items() if name in names}


@cache
def _named_inputs(kind: type[PreTrainedModel]) -> frozenset[str]:
    return frozenset(inspect.signature(kind.forward).parameters)


def token_embeddings(model: PreTrainedModel) -> Tensor:
    """A model's table of token embeddings: (tokens, width).

    Raises:
        Unreadable: the model has no such table.
    """
    with suppress(NotImplementedError):
        if isinstance(table := getattr(model.get_input_embeddings(), "weight", None), Tensor):
            return table
    raise Unreadable("it has no table with a vector for each token")


def try_model(model: PreTrainedModel, pad_id: int) -> HeadInput:
    """Run a model before it is trained, and return the vector that enters its head.

    Random states stay unchanged.

    Raises:
        Unreadable: no vector is known to enter the head, or the vector does not depend on the text alone.
        Exception: whatever the model's code raises.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs = trial_inputs(model, pad_id)
        found = find_head_input(model, inputs, pad_id)
        with torch.no_grad():
            _check_vector(model, found, inputs, pad_id)
            model.train()(**understood(model, inputs))  # dropout can fail in ways of its own
        model.eval()
    return found


def _check_vector(model: PreTrainedModel, found: HeadInput, inputs: Inputs, pad_id: int) -> None:
    """Check that the shorter text gives the same vector without padding, and another one if its middle word changes."""
    alone = {name: values[[1, 1], :SHORT] for name, values in inputs.items()}
    alone["input_ids"][1, SHORT // 2] = _other_token(model, inputs["input_ids"], int(alone["input_ids"][1, SHORT // 2]))
    _, padded = _vectors(model, found, inputs, pad_id)
    bare, changed = _vectors(model, found, alone, pad_id)
    if not bare.isfinite().all():
        raise Unreadable("its outputs are not finite")
    if (padded - bare).norm() > PADDING_EFFECT * bare.norm():
        raise Unreadable("its outputs for a text change with the padding beside it")
    if torch.equal(bare, changed):
        raise Unreadable("its outputs are the same for different texts")


def _other_token(model: PreTrainedModel, tokens: Tensor, old: int) -> Tensor:
    """The token whose embedding differs most from the old token's."""
    table = token_embeddings(model)
    return max(tokens.flatten(), key=lambda token: float((table[token] - table[old]).abs().max()))


def _vectors(model: PreTrainedModel, found: HeadInput, inputs: Inputs, pad_id: int) -> Tensor:
    with _watched(model) as seen:
        model(**understood(model, inputs))
    return found.rule(seen[found.source], inputs, pad_id)


def trial_inputs(model: PreTrainedModel, pad_id: int) -> Inputs:
    """Two rows of tokens that no config names: one that ends with a pad token of its own, and a shorter, padded one.

    In the first row, the last token that the mask keeps is not the last one that differs from the pad token.
    """
    configs = (model.config, model.config.get_text_config())
    named = [value for config in configs for key, value in vars(config).items() if "_token_i" in key]
    known = torch.arange(len(token_embeddings(model)))
    plain = known[~torch.isin(known, torch.tensor([pad_id, *(value for value in named if isinstance(value, int))]))]
    # From all of the vocabulary: in many, the first tokens are bytes or reserved and were never trained.
    tokens = plain if len(plain) else known[:1]
    ids = tokens[torch.linspace(0, len(tokens) - 1, 2 * LONG).long()].view(2, LONG)
    mask = torch.arange(LONG) < torch.tensor([[LONG], [SHORT]])
    ids = ids.masked_fill(~mask, pad_id)
    ids[0, -1] = pad_id
    return {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": torch.zeros_like(ids)}


def find_head_input(model: PreTrainedModel, inputs: Inputs, pad_id: int) -> HeadInput:
    """The vector that a model's logits depend on.

    Raises:
        Unreadable: the logits depend on padding, or no rule gives the vector that they depend on.
    """
    gradients = _gradients(model, inputs)
    read = {source: values for source, values in gradients.items() if values is not None and values.any()}
    if len(read) == 1:
        ((source, gradient),) = read.items()
        if gradient.ndim == 2 and source != EMBEDDINGS:
            return HeadInput(source, whole)
        for rule in RULES if gradient.ndim == 3 else ():
            if _explains(rule, gradient, inputs, pad_id):
                return HeadInput(source, rule)
        if gradient.shape[1] == LONG and gradient[1, SHORT:].any():
            raise Unreadable("its head reads the padding on the right of a text: it pads on the left, or not at all")
    raise Unreadable("the vector that enters its head cannot be found")


def _gradients(model: PreTrainedModel, inputs: Inputs) -> dict[str, Tensor | None]:
    """The gradients of a mixture of the logits by the vectors that the head gets, and by the embeddings.

    The head may read the embeddings directly. Random numbers replace its weights, because saved ones may all be 0.
    """
    backbone = {id(weight) for weight in model.base_model.parameters()}
    head = {name: weight for name, weight in model.named_parameters() if id(weight) not in backbone}
    random = {name: (HEAD_SCALE * torch.randn_like(weight)).requires_grad_() for name, weight in head.items()}
    with _watched(model, lambda vectors: vectors.detach().requires_grad_()) as seen:
        logits = functional_call(model, random, kwargs=understood(model, inputs)).logits
    seen[EMBEDDINGS] = token_embeddings(model)
    mixture = (logits * torch.randn_like(logits)).sum()
    return dict(zip(seen, torch.autograd.grad(mixture, list(seen.values()), allow_unused=True), strict=True))


def _explains(rule: Rule, gradient: Tensor, inputs: Inputs, pad_id: int) -> bool:
    """Whether logits with this gradient (n, tokens, d) depend on the states only through a rule.

    Rules are weighted means, so a rule applied to unit vectors in place of the states gives its weights.
    """
    tokens = gradient.shape[1]
    if tokens != inputs["input_ids"].shape[1] and rule is not first_token:
        return False
    weights = rule(torch.eye(tokens).expand(len(gradient), -1, -1), inputs, pad_id)
    expected = weights.unsqueeze(-1) * gradient.sum(dim=1, keepdim=True)
    return torch.allclose(gradient, expected, rtol=0, atol=ROUNDING * float(gradient.abs().max()))
