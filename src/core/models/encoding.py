"""Tokenised splits, and batches cut from them by length.

One flat tensor has the token ids of a whole split. So memory stays near four bytes per token, and a batch costs one
gather. A batch has rows of similar length, padded to its longest row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from src.system.errors import UserError, first_line

BATCHES_PER_BUCKET = 50
PROBE = ("a", "b")
ROWS_AT_ONCE = 2048  # the tokenizer's lists of Python integers take fifty times the memory of the tensors


@dataclass(frozen=True)
class EncodedSplit:
    """Token ids of N rows. Row i is `ids[starts[i] : starts[i] + lengths[i]]`; `segments` is parallel to `ids`."""

    ids: Tensor
    segments: Tensor | None
    starts: Tensor
    lengths: Tensor
    pad_id: int

    def __len__(self) -> int:
        return len(self.lengths)

    def first(self, rows: int) -> "EncodedSplit":
        """The first rows. The tokens are shared, not copied."""
        return replace(self, starts=self.starts[:rows], lengths=self.lengths[:rows])

    def rows(self, numbers: Tensor) -> "EncodedSplit":
        """The rows with these numbers. The tokens are shared, not copied."""
        return replace(self, starts=self.starts[numbers], lengths=self.lengths[numbers])

    def joined(self, other: "EncodedSplit") -> "EncodedSplit":
        """These rows, followed by the rows of another split by the same tokenizer."""
        starts = torch.cat([self.starts, other.starts + len(self.ids)])
        lengths = torch.cat([self.lengths, other.lengths])
        segments = None
        if self.segments is not None:
            assert other.segments is not None  # a tokenizer always or never gives them
            segments = torch.cat([self.segments, other.segments])
        return EncodedSplit(torch.cat([self.ids, other.ids]), segments, starts, lengths, self.pad_id)

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """The model's inputs for some rows, padded on the right: each (n, longest)."""
        lengths = self.lengths[rows]
        offsets = torch.arange(int(lengths.max()))
        mask = offsets < lengths.unsqueeze(1)
        positions = (self.starts[rows].unsqueeze(1) + offsets).clamp(max=len(self.ids) - 1)
        inputs = {
            "input_ids": self.ids[positions].long().masked_fill(~mask, self.pad_id),
            "attention_mask": mask.long(),
        }
        if self.segments is not None:
            inputs["token_type_ids"] = self.segments[positions].long().masked_fill(~mask, 0)
        return inputs


def encode(texts: list[tuple[str, ...]], tokenizer: PreTrainedTokenizerBase, max_length: int) -> EncodedSplit:
    """Tokenise rows of one or two texts, cut to `max_length` tokens (the longer text of a pair is cut first).

    A row without any token gets the pad token.

    Raises:
        UserError: the tokenizer puts nothing between two texts, or finds no token in any text.
    """
    ids, segments, lengths = [], [], []
    if len(texts[0]) == 2 and joins_pairs(tokenizer):
        problem = f"the tokenizer of {tokenizer.name_or_path} puts nothing between the texts of a pair"
        allowed = "use a tokenizer with a template for pairs, a separator or an end token"
        raise UserError("params.yaml: models", problem, allowed)
    settings = {"truncation": True, "max_length": max_length}
    for start in range(0, len(texts), ROWS_AT_ONCE):
        rows = texts[start : start + ROWS_AT_ONCE]
        encoded = _tokenise(rows, tokenizer, **settings)
        lengths += [len(row) for row in encoded["input_ids"]]
        ids.append(_flat([row or [tokenizer.pad_token_id] for row in encoded["input_ids"]], torch.int32))
        if "token_type_ids" in encoded:
            segments.append(_flat([row or [0] for row in encoded["token_type_ids"]], torch.uint8))
    nothing = _tokenise([("",) * len(texts[0])], tokenizer, **settings)["input_ids"][0]
    if max(lengths) <= len(nothing):
        problem = f"the tokenizer of {tokenizer.name_or_path} finds no token in any text"
        raise UserError("params.yaml: models", problem, "use a model for these texts, or raise max_length")
    counts = torch.tensor(lengths).clamp(min=1)
    joined = torch.cat(segments) if segments else None
    return EncodedSplit(torch.cat(ids), joined, counts.cumsum(0) - counts, counts, tokenizer.pad_token_id)


def joins_pairs(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer puts nothing between the texts of a pair: ("a b", "c") would equal ("a", "b c")."""
    first, second = _tokenise([(text,) for text in PROBE], tokenizer, add_special_tokens=False)["input_ids"]
    found = _tokenise([PROBE], tokenizer)["input_ids"][0]
    return any(found[place:][: len(first + second)] == first + second for place in range(len(found) + 1))


def _tokenise(rows: Sequence[tuple[str, ...]], tokenizer: PreTrainedTokenizerBase, **settings: Any) -> Any:
    columns = (list(column) for column in zip(*rows, strict=True))
    try:
        return tokenizer(*columns, **settings)
    except MemoryError:
        raise
    except Exception as error:  # tokenizers, which is written in Rust, raises plain exceptions
        problem = f"the tokenizer of {tokenizer.name_or_path} fails ({type(error).__name__}: {first_line(error)})"
        raise UserError("params.yaml: models", problem, "use a tokenizer that accepts any text") from None


def training_batches(lengths: Tensor, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Row numbers of one epoch's batches, in random order. The rows of a batch have similar lengths.

    Rows are shuffled, cut into buckets of `BATCHES_PER_BUCKET` batches, and sorted by length within each bucket. So
    every row comes once, and batches differ between epochs.
    """
    order = torch.randperm(len(lengths), generator=generator)
    batches = [
        batch
        for bucket in _equal_parts(order, batch_size * BATCHES_PER_BUCKET)
        for batch in _equal_parts(bucket[lengths[bucket].argsort(stable=True)], batch_size)
    ]
    return [batches[number] for number in torch.randperm(len(batches), generator=generator)]


def inference_batches(lengths: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Row numbers of batches in order of length, each row once."""
    yield from lengths.argsort(stable=True).split(batch_size)


def _flat(rows: list[list[int]], dtype: torch.dtype) -> Tensor:
    try:
        return torch.tensor([value for row in rows for value in row], dtype=dtype)
    except RuntimeError as error:
        if "overflow" not in str(error):
            raise
        problem = "the tokenizer gives a token or segment that is too large"
        allowed = f"use a tokenizer whose numbers are at most {torch.iinfo(dtype).max}"
        raise UserError("params.yaml: models", problem, allowed) from None


def _equal_parts(rows: Tensor, largest: int) -> tuple[Tensor, ...]:
    """Cut rows into parts of nearly equal size, at most `largest`, so that the last part is not much smaller."""
    return rows.tensor_split(-(-len(rows) // largest))
