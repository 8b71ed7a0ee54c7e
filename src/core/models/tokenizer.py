"""Tokenizers, checked for what would else fail or mislead later."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from src.core.models.encoding import joins_pairs
from src.core.models.files import damage_named, gguf_of, locate
from src.params import ModelSource
from src.system.errors import UserError

LARGEST_TOKEN = 2**31 - 1  # tokens are kept in 32 bits
TOKENIZER_FILES = ("tokenizer.json", "vocab.*", "*.model", "*.vocab", "tokenizer.*")


def load_tokenizer(source: ModelSource, pairs: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer that comes with a model; decoder-only ones without a pad token pad with their end token.

    Args:
        pairs: where it puts nothing between the texts of a pair, as GPT-2's and Qwen's, take one that does.

    Raises:
        UserError: the model cannot be found, has no tokenizer, a damaged one, or one that cannot pad.
    """
    location = locate(source)
    gguf = gguf_of(location)
    if not gguf and not any(list(Path(location).glob(name)) for name in TOKENIZER_FILES):
        # transformers would make an empty tokenizer, which knows no word.
        allowed = f"one of {', '.join(TOKENIZER_FILES)}"
        raise UserError("params.yaml: models", f"{location} holds no tokenizer", allowed)
    try:
        with damage_named(source):
            tokenizer = AutoTokenizer.from_pretrained(location, trust_remote_code=False, padding_side="right", **gguf)
    except UserError as error:
        if "tiktoken" not in error.problem:
            raise
        # Without the libraries for SentencePiece's files, transformers takes them for tiktoken's.
        problem = f"the tokenizer of {source.name} has no tokenizer.json, only a file of SentencePiece or tiktoken"
        allowed = "a tokenizer.json, which save_pretrained writes where sentencepiece and protobuf, or tiktoken, are"
        raise UserError("params.yaml: models", problem, allowed) from None
    assert tokenizer is not None  # which its type allows
    _check_template(source, tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise UserError("params.yaml: models", f"the tokenizer of {source.name} has no pad and no end token", "add one")
    if (largest := max(tokenizer.get_vocab().values(), default=0)) > LARGEST_TOKEN:
        raise UserError("params.yaml: models", f"{source.name} has a token {largest}", f"at most {LARGEST_TOKEN}")
    return _with_separator(tokenizer) if pairs and joins_pairs(tokenizer) else tokenizer


def _with_separator(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The same with its separator, or else its end token, between the texts of a pair; as it is where it has neither.

    The token is in the template, so that whoever loads the tokenizer that is kept reads pairs as training did. It is
    kept as a tokenizer of no model in particular, because that of GPT-NeoX makes its template anew.
    """
    token = tokenizer.sep_token or tokenizer.eos_token
    if token is None or not isinstance(tokenizer, PreTrainedTokenizerFast):
        return tokenizer
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    number = tokenizer.get_vocab()[token]
    content["post_processor"] = _separating(content["post_processor"], token, number)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)),
        name_or_path=tokenizer.name_or_path,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        split_special_tokens=tokenizer.split_special_tokens,
        add_prefix_space=getattr(tokenizer, "add_prefix_space", False),
        **tokenizer.special_tokens_map,
    )


def _separating(processor: dict[str, Any] | None, token: str, number: int) -> dict[str, Any]:
    """A post-processor, in the form of tokenizer.json, with a token before the second text of a pair."""
    parts = [] if processor is None else processor.get("processors", [processor])
    if not any(part["type"] == "TemplateProcessing" for part in parts):
        parts.append(json.loads(TemplateProcessing(single="$A", pair="$A $B:1").__getstate__()))
    template = next(part for part in parts if part["type"] == "TemplateProcessing")
    pair = template["pair"]
    place = next(place for place, piece in enumerate(pair) if piece.get("Sequence", {}).get("id") == "B")
    pair.insert(place, {"SpecialToken": {"id": token, "type_id": pair[place]["Sequence"]["type_id"]}})
    template["special_tokens"][token] = {"id": token, "ids": [number], "tokens": [token]}
    return {"type": "Sequence", "processors": parts}


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
