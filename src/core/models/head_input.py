"""Which vector enters a classifier's head, found by asking the model.

Kinds of models differ in what their heads read, and the names of their parts do not tell. So two short rows, the second
of them padded, go through the model, and the gradient of the logits shows which of the backbone's outputs they follow
from, and how much each token counts. A model whose head reads something else, or whose outputs for a text change with
the padding beside it, is refused before it is trained.
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

LONG, SHORT = 13, 7  # tokens of the two rows: primes, of which no stride or chunk is a divisor
HEAD_SCALE = 0.02  # of the numbers that stand in for the head's weights, some of which may be 0
EMBEDDINGS = "embeddings"
ROUNDING = 1e-4  # of the largest number: what is smaller is no dependence
PADDING_EFFECT = 1e-4  # of a vector's length: what is smaller is rounding, in deep models too


def first_token(hidden: Tensor, inputs: Inputs, pad_id: int) -> Tensor:
    """The first token's state, (n, d) from (n, tokens, d)."""
    return hidden[:, 0]


def last_token(hidden: Tensor, inputs: Inputs, pad_id: int) -> Tensor:
    """The state of the last token that is not the pad token: transformers passes over one that a tokenizer adds."""
    known = inputs["input_ids"] != pad_id
    places = (torch.arange(known.shape[1], device=known.device) * known).argmax(dim=1)
    # An exporter would fix the number of rows that `len` tells at that of its example.
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), places]


def mean_of_tokens(hidden: Tensor, inputs: Inputs, pad_id: int) -> Tensor:
    """The mean of the states of all tokens that are not masked."""
    mask = inputs["attention_mask"]
    return (hidden * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def whole(pooled: Tensor, inputs: Inputs, pad_id: int) -> Tensor:
    """What a pooler made of the states, (n, d)."""
    return pooled


RULES: tuple[Rule, ...] = (first_token, last_token, mean_of_tokens)


class Unreadable(Exception):
    """No vector is known to enter the head: why, in a few words."""


class HeadInput(NamedTuple):
    """The vector h that enters a head: the vectors of which it is made (see `watch`), and by which rule."""

    source: str
    rule: Rule


def watch(
    model: PreTrainedModel, seen: dict[str, Tensor], change: Callable[[Tensor], Tensor] = lambda vectors: vectors
) -> list[RemovableHandle]:
    """Note in `seen`, by name, the vectors that a model hands on to its head; `change` gives those it gets instead."""

    def backbone(_module: object, _inputs: object, outputs: dict[str, Tensor]) -> None:
        for name in ("last_hidden_state", "pooler_output"):
            if name in outputs:
                outputs[name] = seen[name] = change(outputs[name])

    def pooler(_module: object, _inputs: object, output: Tensor) -> Tensor:
        seen["pooler"] = change(output)
        return seen["pooler"]

    handles = [model.base_model.register_forward_hook(backbone)]
    outside = getattr(model, "pooler", None)  # of the backbone, as DeBERTa has it
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
    """Those inputs that a model names; others, such as segments where it knows none, say nothing to it."""
    names = _named_inputs(type(model))
    return {name: values for name, values in inputs.items() if name in names}


@cache
def _named_inputs(kind: type[PreTrainedModel]) -> frozenset[str]:
    return frozenset(inspect.signature(kind.forward).parameters)


def token_embeddings(model: PreTrainedModel) -> Tensor:
    """A model's table of tokens: (tokens, width).

    Raises:
        Unreadable: it has none.
    """
    with suppress(NotImplementedError):
        if isinstance(table := getattr(model.get_input_embeddings(), "weight", None), Tensor):
            return table
    raise Unreadable("it has no table with a vector for each token")


def try_model(model: PreTrainedModel, pad_id: int) -> HeadInput:
    """Run a model in evaluation mode once, before it is trained, and say which vector enters its head.

    Random states are left as they were.

    Raises:
        Unreadable: no vector is known to enter the head, or it does not follow from the text and the text alone.
        Exception: whatever the model's code raises.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs = trial_inputs(model, pad_id)
        found = find_head_input(model, inputs, pad_id)
        with torch.no_grad():
            _check_vector(model, found, inputs, pad_id)
            model.train()(**understood(model, inputs))  # dropout has its own ways to fail
        model.eval()
    return found


def _check_vector(model: PreTrainedModel, found: HeadInput, inputs: Inputs, pad_id: int) -> None:
    """The shorter text must give the same vector without padding, and another with a word in the middle changed."""
    alone = {name: values[[1, 1], :SHORT] for name, values in inputs.items()}
    alone["input_ids"][1, SHORT // 2] = _other_token(model, inputs["input_ids"], int(alone["input_ids"][1, SHORT // 2]))
    _, padded = _vectors(model, found, inputs, pad_id)
    bare, changed = _vectors(model, found, alone, pad_id)
    if not bare.isfinite().all():
        raise Unreadable("its outputs are not finite")
    if (padded - bare).norm() > PADDING_EFFECT * bare.norm():
        raise Unreadable("its outputs for a text change with the padding beside it")
    if torch.equal(bare, changed):
        raise Unreadable("its outputs are the same for other texts")


def _other_token(model: PreTrainedModel, tokens: Tensor, old: int) -> Tensor:
    """One of the tokens with another vector than the old one's, if there is any."""
    table = token_embeddings(model)
    return max(tokens.flatten(), key=lambda token: float((table[token] - table[old]).abs().max()))


def _vectors(model: PreTrainedModel, found: HeadInput, inputs: Inputs, pad_id: int) -> Tensor:
    with _watched(model) as seen:
        model(**understood(model, inputs))
    return found.rule(seen[found.source], inputs, pad_id)


def trial_inputs(model: PreTrainedModel, pad_id: int) -> Inputs:
    """Two rows of tokens that no config names: one that ends with a pad token of its own, and a shorter, padded one.

    So the last token that the mask lets through and the last that is not the pad token are not the same.
    """
    configs = (model.config, model.config.get_text_config())
    named = [value for config in configs for key, value in vars(config).items() if "_token_i" in key]
    known = torch.arange(len(token_embeddings(model)))
    plain = known[~torch.isin(known, torch.tensor([pad_id, *(value for value in named if isinstance(value, int))]))]
    # From all of the vocabulary: the first tokens of many are bytes or reserved, and were never trained.
    tokens = plain if len(plain) else known[:1]
    ids = tokens[torch.linspace(0, len(tokens) - 1, 2 * LONG).long()].view(2, LONG)
    mask = torch.arange(LONG) < torch.tensor([[LONG], [SHORT]])
    ids = ids.masked_fill(~mask, pad_id)
    ids[0, -1] = pad_id
    return {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": torch.zeros_like(ids)}


def find_head_input(model: PreTrainedModel, inputs: Inputs, pad_id: int) -> HeadInput:
    """The vector that a model's logits follow from.

    Raises:
        Unreadable: they follow from padding, or no rule says from what.
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
            raise Unreadable(
                "its head reads what is on the right of a text, where padding is: it pads on the left, or not at all"
            )
    raise Unreadable("it cannot be told which vector enters its head")


def _gradients(model: PreTrainedModel, inputs: Inputs) -> dict[str, Tensor | None]:
    """Of a mixture of the logits, with respect to what the head gets; and to the embeddings, should it see past that.

    Random numbers stand in for the head's weights: in a model that was saved so, all may be 0.
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
    """Whether logits with this gradient (n, tokens, d) follow from what a rule makes of the states.

    Rules are weighted means, so unit vectors in the place of the states give the weights.
    """
    tokens = gradient.shape[1]
    if tokens != inputs["input_ids"].shape[1] and rule is not first_token:
        return False
    weights = rule(torch.eye(tokens).expand(len(gradient), -1, -1), inputs, pad_id)
    expected = weights.unsqueeze(-1) * gradient.sum(dim=1, keepdim=True)
    return torch.allclose(gradient, expected, rtol=0, atol=ROUNDING * float(gradient.abs().max()))
