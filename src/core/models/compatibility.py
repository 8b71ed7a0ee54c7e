"""Checks that a model fits its source, its tokenizer, the data's labels and the texts' length.

Each check raises a UserError that says what does not fit.
"""

import re
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from src.core.models.encoding import EncodedSplit
from src.core.models.head_input import token_embeddings
from src.params import ModelSource
from src.system.errors import UserError
from src.system.unicode import canonical

MATCHING = "use a tokenizer and weights that belong together"
# Weights of a backbone that may be left out: a pooler that this head does not read, and buffers of older checkpoints.
LEFTOVER = re.compile(r"pooler|(position_ids|token_type_ids|inv_freq|masked_bias|(attn|attention)\.bias)$")


def check_vocabulary(source: ModelSource, model: PreTrainedModel, splits: Iterable[EncodedSplit]) -> None:
    """Check that every token and segment has an embedding: tokenizer and weights may come from different models.

    Raises:
        UserError: a token or segment has none.
    """
    splits = list(splits)
    check_token(source, model, max(max(int(split.ids.max()), split.pad_id) for split in splits))
    segments = getattr(model.config, "type_vocab_size", None) or 0  # 0: the model has none and ignores them
    largest = max((int(split.segments.max()) for split in splits if split.segments is not None), default=0)
    if 0 < segments <= largest:
        problem = f"the tokenizer of {source.name} gives segment {largest}, but its weights know {segments} segments"
        raise UserError("params.yaml: models", problem, MATCHING)


def check_token(source: ModelSource, model: PreTrainedModel, largest: int) -> None:
    """Check that the weights have an embedding for the largest token."""
    if largest >= (known := len(token_embeddings(model))):
        problem = f"the tokenizer of {source.name} gives token {largest}, but its weights know {known} tokens"
        raise UserError("params.yaml: models", problem, MATCHING)


def check_labels(source: ModelSource, config: Any, label_names: list[str]) -> None:
    """Check that model and data have the same labels in the same order, if both name them.

    Case and Unicode form may differ.
    """
    names = [str(name) for _, name in sorted(config.id2label.items())]
    unnamed = all(name == f"LABEL_{number}" for number, name in enumerate(names))
    if unnamed or source.new_head or len(names) != len(label_names):
        return  # there are no names to compare, or the head will be new
    if [canonical(name).casefold() for name in names] != [canonical(name).casefold() for name in label_names]:
        problem = f"{source.name} has the labels {', '.join(names)}"
        allowed = f"the data has {', '.join(label_names)}, in this order; set new_head to true to draw a new head"
        raise UserError("params.yaml: models", problem, allowed)


def check_loaded(source: ModelSource, model: PreTrainedModel, missing: set[str]) -> None:
    """Check that only the head and the pooler start untrained, and that all weights are finite.

    Weights that are not finite would end the training with a message that blames lr and the weights of the loss.
    """
    backbone = f"{model.base_model_prefix}."
    untrained = sorted(key for key in missing if key.startswith(backbone) and "pooler" not in key)
    if untrained:
        problem = f"{source.name} lacks {len(untrained)} weights in the shape of its config, such as {untrained[0]}"
        raise UserError("params.yaml: models", problem, f"use a pre-trained {model.config.model_type} model")

    for key, values in model.state_dict().items():
        if not _is_finite(values):
            raise UserError("params.yaml: models", f"{key} of {source.name} is not finite", "use finite weights")


def _is_finite(values: Tensor) -> bool:
    """Whether all values are finite. A finite sum proves it in a fortieth of the time, but a sum may overflow."""
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def check_left_out(source: ModelSource, model: PreTrainedModel, unexpected: set[str]) -> None:
    """Check that weights without a place in the model belong to another head, a pooler or a buffer; print one of them.

    Without weights of its backbone, such as layers that the config leaves out, it would silently be another model.
    """
    if not unexpected:
        return
    parts = {name for name, _ in model.base_model.named_children()}
    bare = {key: key.removeprefix(f"{model.base_model_prefix}.") for key in sorted(unexpected)}
    lost = [key for key, name in bare.items() if name.split(".")[0] in parts and not LEFTOVER.search(name)]
    if lost:
        problem = f"the config of {source.name} has no place for {len(lost)} of its weights, such as {lost[0]}"
        raise UserError("params.yaml: models", problem, "use a config.json that belongs to the weights")
    print(f"{source.name}: {len(unexpected)} weights are not used, such as {min(unexpected)}", flush=True)


def positions_of(model: PreTrainedModel) -> int | None:
    """The most tokens that a model takes, or None. RoBERTa and its like count from after the pad token's number."""
    config = model.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)  # MPT's
    tables = [module for name, module in model.named_modules() if name.endswith("position_embeddings")]
    reserved = [table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None) is not None]
    return positions and positions - max(reserved, default=0)


def check_length(source: ModelSource, model: PreTrainedModel, tokens: int) -> None:
    """Check that the longest input fits the positions."""
    positions = positions_of(model)
    if positions is not None and tokens > positions:
        problem = f"{tokens} is too long for {source.name}"
        raise UserError("params.yaml: max_length", problem, f"set it to {positions} or less")
