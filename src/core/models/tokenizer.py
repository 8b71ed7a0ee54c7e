"""Tokenizers, checked for what would else fail or mislead later."""

import json
from pathlib import Path

from transformers import AutoTokenizer
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from src.core.models.files import damage_named, gguf_of, locate
from src.errors import UserError
from src.params import ModelSource

LARGEST_TOKEN = 2**31 - 1  # tokens are kept in 32 bits
TOKENIZER_FILES = ("tokenizer.json", "vocab.*", "*.model", "*.vocab", "tokenizer.*")


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """The tokenizer that comes with a model; decoder-only ones without a pad token pad with their end token.

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
            tokenizer = AutoTokenizer.from_pretrained(location, trust_remote_code=False, **gguf)
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
    return tokenizer


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
