"""Loads tokenizers, and refuses those that would fail or mislead later."""

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
    """The tokenizer of a model. A tokenizer without a pad token pads with its end token.

    Args:
        pairs: rows are pairs of texts. A tokenizer that puts nothing between them, such as GPT-2's or Qwen's, gets a
            separator.

    Raises:
        UserError: the model cannot be found, has no tokenizer, has a damaged one, or has one that cannot pad.
    """
    location = locate(source)
    gguf = gguf_of(location)
    if not gguf and not any(list(Path(location).glob(name)) for name in TOKENIZER_FILES):
        # transformers would make an empty tokenizer, which knows no word.
        allowed = f"add one of {', '.join(TOKENIZER_FILES)}"
        raise UserError("params.yaml: models", f"{location} has no tokenizer", allowed)
    try:
        with damage_named(source):
            tokenizer = AutoTokenizer.from_pretrained(location, trust_remote_code=False, padding_side="right", **gguf)
    except UserError as error:
        if "tiktoken" not in error.problem:
            raise
        # Without the libraries for SentencePiece's files, transformers takes them for tiktoken's.
        problem = f"the tokenizer of {source.name} has no tokenizer.json, only a file of SentencePiece or tiktoken"
        allowed = (
            "add a tokenizer.json: save_pretrained writes it if sentencepiece and protobuf, or tiktoken, are there"
        )
        raise UserError("params.yaml: models", problem, allowed) from None
    assert tokenizer is not None  # its type would allow None
    _check_template(source, tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        problem = f"the tokenizer of {source.name} has no pad token and no end token"
        raise UserError("params.yaml: models", problem, "add one of them")
    if (largest := max(tokenizer.get_vocab().values(), default=0)) > LARGEST_TOKEN:
        problem = f"the tokenizer of {source.name} has a token {largest}"
        raise UserError("params.yaml: models", problem, f"use a tokenizer with numbers up to {LARGEST_TOKEN}")
    return _with_separator(tokenizer) if pairs and joins_pairs(tokenizer) else tokenizer


def _with_separator(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer with its separator, or else its end token, between the texts of a pair; unchanged if it has neither.

    The token is in the template, so a kept tokenizer reads pairs as in training. It is kept as a tokenizer of no
    particular model, because GPT-NeoX's class would make its template anew.
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
    """A post-processor, in the form of tokenizer.json, that puts a token before the second text of a pair."""
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
    """Refuse a template that names a token without defining it, on which tokenizers panics with several lines."""
    processor = getattr(getattr(tokenizer, "backend_tokenizer", None), "post_processor", None)
    content = {} if processor is None else json.loads(processor.__getstate__())
    for part in content.get("processors", [content]):
        pieces = [*part.get("single", ()), *part.get("pair", ())] if part.get("type") == "TemplateProcessing" else []
        added = {piece["SpecialToken"]["id"] for piece in pieces if "SpecialToken" in piece}
        if unknown := added.difference(part.get("special_tokens", ())):
            problem = f"the template of the tokenizer of {source.name} names {min(unknown)!r:.100} without defining it"
            raise UserError("params.yaml: models", problem, "use a tokenizer.json that belongs to the model")
