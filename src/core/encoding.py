"""Tokenised splits, and batches cut from them by length.

Token ids of a whole split lie in one flat tensor, so that memory stays near four bytes a token and a batch
costs one gather. Batches hold rows of similar length, padded to the longest of them only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

BATCHES_PER_BUCKET = 50
ROWS_AT_ONCE = 2048  # the tokenizer's lists of Python integers take fifty times the memory of the tensors


@dataclass(frozen=True)
class EncodedSplit:
    """Token ids of N rows: row i is `ids[starts[i] : starts[i] + lengths[i]]`; segments lie in parallel to ids."""

    ids: Tensor
    segments: Tensor | None
    starts: Tensor
    lengths: Tensor
    pad_id: int

    def __len__(self) -> int:
        return len(self.lengths)

    def first(self, rows: int) -> "EncodedSplit":
        """The first rows only; the tokens are shared, not copied."""
        return replace(self, starts=self.starts[:rows], lengths=self.lengths[:rows])

    def joined(self, other: "EncodedSplit") -> "EncodedSplit":
        """These rows, then those of another split by the same tokenizer."""
        segments = None if self.segments is None else torch.cat([self.segments, other.segments])
        starts = torch.cat([self.starts, other.starts + len(self.ids)])
        lengths = torch.cat([self.lengths, other.lengths])
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
    """Tokenise rows of one or two texts, cut to `max_length` tokens (the longer text of a pair is cut first)."""
    ids, segments, lengths = [], [], []
    for start in range(0, len(texts), ROWS_AT_ONCE):
        columns = [list(column) for column in zip(*texts[start : start + ROWS_AT_ONCE], strict=True)]
        encoded = tokenizer(*columns, truncation=True, max_length=max_length)
        lengths += [len(row) for row in encoded["input_ids"]]
        ids.append(_flat(encoded["input_ids"], torch.int32))
        if "token_type_ids" in encoded:
            segments.append(_flat(encoded["token_type_ids"], torch.uint8))
    starts = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)
    joined = torch.cat(segments) if segments else None
    return EncodedSplit(torch.cat(ids), joined, starts, torch.tensor(lengths), tokenizer.pad_token_id)


def training_batches(lengths: Tensor, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Row numbers of one epoch's batches, in random order and of similar length within a batch.

    Rows are shuffled, cut into buckets of `BATCHES_PER_BUCKET` batches and sorted by length within each, so every
    row comes once and the epochs' batches differ.
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
    return torch.tensor([value for row in rows for value in row], dtype=dtype)


def _equal_parts(rows: Tensor, largest: int) -> tuple[Tensor, ...]:
    """Cut rows into parts of nearly equal size, none above `largest`, so that no odd few are left at the end."""
    return rows.tensor_split(-(-len(rows) // largest))
