"""Pre-trained classifiers: where their weights come from, what is read of them, and how students are cut.

Encoders and decoder-only models serve, but for the kinds whose head does not read one vector of a text; docs/models.md
lists all. Weights are safetensors, and code that comes with a model is never run.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers import logging as transformers_logging
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from src.core.encoding import EncodedSplit
from src.core.first_token import compute_first_token_only
from src.core.head_input import HeadInput, Unreadable, token_embeddings, trial_inputs, try_model, understood, watch
from src.core.layers import CannotBeCut, keep_layers
from src.core.model_files import DAMAGE, damage_named, locate, raise_if_memory
from src.core.objectives import Outputs
from src.errors import UserError, first_line
from src.params import ModelSource

MOST_LAYERS = 1000  # more than any model has; transformers would build millions of them before it looks at the weights
LARGEST_TOKEN = 2**31 - 1  # tokens are kept in 32 bits
MATCHING = "a tokenizer and weights that belong together"
TOKENIZER_FILES = ("tokenizer.json", "vocab.*", "*.model", "*.vocab", "tokenizer.*")

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


class Classifier(nn.Module):
    """A sequence classifier that also returns h, the vector that enters its classification head.

    h is BERT's pooled output (before dropout, which is noise of training and no property of the sample); where the
    head does its own pooling, the hidden state that it pools to: the first token's, the mean over tokens, or in
    decoder-only models the last token's. See `src.core.head_input` for how it is found.
    """

    def __init__(self, model: PreTrainedModel, head_input: HeadInput) -> None:
        super().__init__()
        self.model = model
        self.head_input = head_input
        self._seen: dict[str, Tensor] = {}
        watch(model, self._seen)

    def forward(self, **inputs: Tensor) -> Outputs:
        """Logits (n, C) and h (n, d) of a batch as `EncodedSplit.batch` makes it."""
        logits = self.model(**understood(self.model, inputs)).logits
        vectors = self._seen[self.head_input.source]
        self._seen.clear()
        return Outputs(logits, self.head_input.rule(vectors, inputs, self.model.config.pad_token_id))


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """The tokenizer that comes with a model; decoder-only ones without a pad token pad with their end token.

    Raises:
        UserError: the model cannot be found, has no tokenizer, a damaged one, or one that cannot pad.
    """
    location = locate(source)
    if source.source != "hub" and not any(list(Path(location).glob(name)) for name in TOKENIZER_FILES):
        # transformers would make an empty tokenizer, which knows no word.
        allowed = f"one of {', '.join(TOKENIZER_FILES)}"
        raise UserError("params.yaml: models", f"{location} holds no tokenizer", allowed)
    try:
        with damage_named(source):
            tokenizer = AutoTokenizer.from_pretrained(location, revision=source.revision, trust_remote_code=False)
    except UserError as error:
        if "tiktoken" not in error.problem:
            raise
        # Without the libraries for SentencePiece's files, transformers takes them for tiktoken's.
        problem = f"the tokenizer of {source.name} has no tokenizer.json, only a file of SentencePiece or tiktoken"
        allowed = "a tokenizer.json, which save_pretrained writes where sentencepiece and protobuf, or tiktoken, are"
        raise UserError("params.yaml: models", problem, allowed) from None
    _check_template(source, tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise UserError("params.yaml: models", f"the tokenizer of {source.name} has no pad and no end token", "add one")
    if (largest := max(tokenizer.get_vocab().values(), default=0)) > LARGEST_TOKEN:
        raise UserError("params.yaml: models", f"{source.name} has a token {largest}", f"at most {LARGEST_TOKEN}")
    return tokenizer


def load_classifier(source: ModelSource, label_names: list[str], pad_id: int, seed: int, tokens: int = 0) -> Classifier:
    """A pre-trained model with a classification head for these labels; a new head is drawn from `seed`.

    The head is new where none was saved, where its labels are another number, and where `source.new_head` says so.

    Args:
        tokens: the longest input that the model will get.

    Raises:
        UserError: the model cannot be found, is damaged, no safetensors model or no encoder or decoder, lacks weights
            beyond its head, has other labels or the same in another order, or has not the layers asked for.
    """
    location = locate(source)
    config = _load_config(source, location)
    _check_labels(source, config, label_names)
    model = _load_model(source, location, label_names, seed)
    for part in (model.config, model.config.get_text_config()):
        part.pad_token_id = pad_id
        part.return_dict, part.use_cache = True, False
    head_input = _try(source, model, pad_id)
    _check_length(source, model, tokens)
    if source.layers is not None:
        _keep_layers(source, model, pad_id)
    compute_first_token_only(model)
    return Classifier(model, head_input)


def _load_model(source: ModelSource, location: str, label_names: list[str], seed: int) -> PreTrainedModel:
    """The model with all of its pre-trained weights but perhaps those of its head."""
    names = dict(enumerate(label_names))
    torch.manual_seed(seed)
    with damage_named(source):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            location,
            revision=source.revision,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            id2label=names,
            label2id={name: number for number, name in names.items()},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        if source.new_head:
            model = _with_new_head(model, seed)
    _check_loaded(source, model, {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    return model


def check_vocabulary(source: ModelSource, model: Classifier, splits: Iterable[EncodedSplit]) -> None:
    """Every token and segment must have an embedding: tokenizer and weights may come from different models.

    Raises:
        UserError: one has none.
    """
    splits = list(splits)
    _check_token(source, model.model, max(max(int(split.ids.max()), split.pad_id) for split in splits))
    segments = getattr(model.model.config, "type_vocab_size", None) or 0  # 0: a model that has none takes no notice
    largest = max((int(split.segments.max()) for split in splits if split.segments is not None), default=0)
    if 0 < segments <= largest:
        problem = f"the tokenizer of {source.name} gives segment {largest}, its weights know {segments} segments"
        raise UserError("params.yaml: models", problem, MATCHING)


def _check_token(source: ModelSource, model: PreTrainedModel, largest: int) -> None:
    if largest >= (known := len(token_embeddings(model))):
        problem = f"the tokenizer of {source.name} gives token {largest}, its weights know {known} tokens"
        raise UserError("params.yaml: models", problem, MATCHING)


def _check_template(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> None:
    """Where a template names a token that it does not define, tokenizers panics, in lines of its own."""
    processor = getattr(getattr(tokenizer, "backend_tokenizer", None), "post_processor", None)
    content = {} if processor is None else json.loads(processor.__getstate__())
    for part in content.get("processors", [content]):
        pieces = [*part.get("single", ()), *part.get("pair", ())] if part.get("type") == "TemplateProcessing" else []
        added = {piece["SpecialToken"]["id"] for piece in pieces if "SpecialToken" in piece}
        if unknown := added.difference(part.get("special_tokens", ())):
            problem = f"the template of the tokenizer of {source.name} names {min(unknown)!r:.100}, which it lacks"
            raise UserError("params.yaml: models", problem, "a tokenizer.json that belongs to the model")


def _load_config(source: ModelSource, location: str) -> Any:
    with damage_named(source):
        config = AutoConfig.from_pretrained(location, revision=source.revision, trust_remote_code=False)
        text = config.get_text_config()  # of a model that also takes images, the part for texts
        if not isinstance(text, PretrainedConfig):
            raise TypeError(f"text_config is {text!r:.100}")
    if config.is_encoder_decoder:
        problem = f"{source.name} is a {config.model_type} model, an encoder with a decoder"
        raise UserError("params.yaml: models", problem, "an encoder, or a decoder alone")
    if not 1 <= (layers := getattr(text, "num_hidden_layers", 1)) <= MOST_LAYERS:
        raise UserError("params.yaml: models", f"{source.name} has {layers} layers", f"1 to {MOST_LAYERS}")
    return config


def _with_new_head(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """The model that comes of loading what a model's backbone holds, as if that were all that had been saved."""
    backbone = f"{model.base_model_prefix}."
    weights = {name: values for name, values in model.state_dict().items() if name.startswith(backbone)}
    torch.manual_seed(seed)
    return type(model).from_pretrained(None, config=model.config, state_dict=weights, dtype=torch.float32)


def _check_labels(source: ModelSource, config: Any, label_names: list[str]) -> None:
    """Where model and data both name their labels, names and order must agree (case aside)."""
    names = [str(name) for _, name in sorted(config.id2label.items())]
    unnamed = all(name == f"LABEL_{number}" for number, name in enumerate(names))
    if unnamed or source.new_head or len(names) != len(label_names):
        return  # no names to compare, or a head that will be new
    if [name.casefold() for name in names] != [name.casefold() for name in label_names]:
        problem = f"{source.name} has the labels {', '.join(names)}"
        allowed = f"the data has {', '.join(label_names)}, in this order; new_head: true draws a new head"
        raise UserError("params.yaml: models", problem, allowed)


def _check_loaded(source: ModelSource, model: PreTrainedModel, missing: set[str]) -> None:
    """Only the head and the pooler before it may be missing, or of another shape, and so start untrained.

    Numbers that are not finite would end the training, with lr and weights of the loss under suspicion.
    """
    backbone = f"{model.base_model_prefix}."
    untrained = sorted(key for key in missing if key.startswith(backbone) and "pooler" not in key)
    if untrained:
        problem = f"{source.name} lacks {len(untrained)} weights in the shape of its config, such as {untrained[0]}"
        raise UserError("params.yaml: models", problem, f"a pre-trained {model.config.model_type} model")

    for key, values in model.state_dict().items():
        if not values.isfinite().all():
            raise UserError("params.yaml: models", f"{key} of {source.name} is not finite", "weights that are numbers")


def _check_length(source: ModelSource, model: PreTrainedModel, tokens: int) -> None:
    """The longest input must fit the positions; RoBERTa and its like begin to count after their pad token's number."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    tables = [module for name, module in model.named_modules() if name.endswith("position_embeddings")]
    reserved = [table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None) is not None]
    positions = positions and positions - max(reserved, default=0)
    if positions is not None and tokens > positions:
        raise UserError("params.yaml: max_length", f"{tokens} is too long for {source.name}", f"at most {positions}")


def _try(source: ModelSource, model: PreTrainedModel, pad_id: int) -> HeadInput:
    """Which vector enters the head; what a config breaks in a forward pass comes out here, before training."""
    kind = f"{source.name} is a {model.config.model_type} model"
    try:
        _check_token(source, model, pad_id)
        return try_model(model, pad_id)
    except DAMAGE as error:
        raise_if_memory(error)
        problem = f"{kind}, and fails on a short text ({type(error).__name__}: {first_line(error)})"
        raise UserError("params.yaml: models", problem, "one that runs on texts of any length") from None
    except Unreadable as error:
        problem = f"{kind}: {error}"
        allowed = "one padded on the right, whose head reads a pooled vector, the first or last token's, or their mean"
        raise UserError("params.yaml: models", problem, allowed) from None


def _keep_layers(source: ModelSource, model: PreTrainedModel, pad_id: int) -> None:
    """Keep some of the transformer layers, in order."""
    total = getattr(model.config.get_text_config(), "num_hidden_layers", 0)
    if max(source.layers) >= total:
        raise UserError("params.yaml: models", f"no layer {max(source.layers)} in {source.name}", f"0 to {total - 1}")
    try:
        keep_layers(model, source.layers, understood(model, trial_inputs(model, pad_id)))
    except (*DAMAGE, CannotBeCut) as error:
        raise_if_memory(error)
        problem = f"layers {source.layers} of {source.name}: a {model.config.model_type} model cut so"
        reason = error if isinstance(error, CannotBeCut) else f"does not work ({first_line(error)})"
        raise UserError("params.yaml: models", f"{problem} {reason}", "other layers, or null for all") from None
