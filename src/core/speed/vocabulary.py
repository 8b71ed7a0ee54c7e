"""Training with the embeddings of those tokens only that a run's texts use.

A pre-trained model knows tens of thousands of tokens, most of which no text of a small task has. Their embeddings get
no gradient, yet every step clears one for them, measures it and updates them: memory for three more tables, and time
where memory is slow. They are set aside while the run lasts. What the model says of the run's texts is the same, to
float rounding in the norm of the gradient; the tokens set aside keep their pre-trained embeddings, where weight decay
would shrink them.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from src.core.models.encoding import EncodedSplit


class CompactVocabulary:
    """The tokens in use, and the full embedding table from which theirs were taken.

    Args:
        model: its token embeddings are cut to the tokens in use.
        splits: all texts that it will see.
        pad_id: of the splits.
    """

    def __init__(self, model: PreTrainedModel, splits: Iterable[EncodedSplit], pad_id: int) -> None:
        self.embedding: Any = model.get_input_embeddings()  # nn.Embedding, or a module of the same fields
        self.table = self.embedding.weight.detach().clone()
        used = torch.zeros(len(self.table), dtype=torch.bool)
        # Code of the models compares tokens with these, so they keep their numbers.
        named = [value for key, value in model.config.to_dict().items() if key.endswith("_token_id")]
        used[: max([pad_id, *(value for value in named if isinstance(value, int))]) + 1] = True
        for split in splits:
            used[split.ids.long()] = True
        # The table may know another pad token than the tokenizer: -1 in early LLaMAs, which is the last one.
        self.padding = getattr(self.embedding, "padding_idx", None)
        if self.padding is not None:
            used[self.padding] = True
        self.tokens = used.nonzero().squeeze(1)
        self._put(self.table[self.tokens], None if self.padding is None else int(used[: self.padding].sum()))

    def numbered(self, split: EncodedSplit) -> EncodedSplit:
        """A split with its tokens numbered as the cut table is."""
        numbers = torch.full((len(self.table),), -1, dtype=torch.int32)
        numbers[self.tokens] = torch.arange(len(self.tokens), dtype=torch.int32)
        return replace(split, ids=numbers[split.ids.long()])

    def restore(self) -> None:
        """Give the model its full table again, with what the tokens in use have learnt."""
        table = self.table.to(self.embedding.weight)
        table[self.tokens] = self.embedding.weight.detach()
        self._put(table, self.padding)

    def _put(self, table: Tensor, padding: int | None) -> None:
        self.embedding.weight = nn.Parameter(table, requires_grad=self.embedding.weight.requires_grad)
        self.embedding.num_embeddings, self.embedding.padding_idx = len(table), padding
