"""Training with only the embeddings of tokens that a run's texts use.

A pre-trained model knows tens of thousands of tokens, and the texts of a small task use few of them. The embeddings of
unused tokens get no gradient, but every step would clear, measure and apply one. This takes memory for three more
tables, and time if memory is slow. So these embeddings are set aside during the run. The model's outputs for the run's
texts are the same, to float rounding in the norm of the gradient. Unused tokens keep their pre-trained embeddings,
which weight decay would otherwise shrink.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from src.core.models.encoding import EncodedSplit


class CompactVocabulary:
    """The tokens in use, and the full embedding table.

    Args:
        model: the model whose token embeddings are cut to the tokens in use.
        splits: all texts that the model will get.
        pad_id: the pad token of the splits.
    """

    def __init__(self, model: PreTrainedModel, splits: Iterable[EncodedSplit], pad_id: int) -> None:
        self.embedding: Any = model.get_input_embeddings()  # nn.Embedding, or a module with the same fields
        self.table = self.embedding.weight.detach().clone()
        used = torch.zeros(len(self.table), dtype=torch.bool)
        # Code of the models compares tokens with these numbers, so they stay the same.
        named = [value for key, value in model.config.to_dict().items() if key.endswith("_token_id")]
        used[: max([pad_id, *(value for value in named if isinstance(value, int))]) + 1] = True
        for split in splits:
            used[split.ids.long()] = True
        # The table's pad token may differ from the tokenizer's: in early LLaMAs it is -1, the last token.
        self.padding = getattr(self.embedding, "padding_idx", None)
        if self.padding is not None:
            used[self.padding] = True
        self.tokens = used.nonzero().squeeze(1)
        _put(self.embedding, self.table[self.tokens], None if self.padding is None else int(used[: self.padding].sum()))

    def numbered(self, split: EncodedSplit) -> EncodedSplit:
        """A split whose tokens have the numbers of the cut table."""
        numbers = torch.full((len(self.table),), -1, dtype=torch.int32)
        numbers[self.tokens] = torch.arange(len(self.tokens), dtype=torch.int32)
        return replace(split, ids=numbers[split.ids.long()])

    def cut(self, model: PreTrainedModel) -> None:
        """Give another model, which does not train, these tokens with these numbers. It must know all texts' tokens."""
        embedding: Any = model.get_input_embeddings()
        table = embedding.weight.detach()
        # Tokens that only this model's config names may be beyond the other's table. No text has them.
        _put(embedding, table[self.tokens.clamp(max=len(table) - 1)], None)

    def restore(self) -> None:
        """Give the model its full table again, with the trained embeddings of the tokens in use."""
        table = self.table.to(self.embedding.weight)
        table[self.tokens] = self.embedding.weight.detach()
        _put(self.embedding, table, self.padding)


def _put(embedding: Any, table: Tensor, padding: int | None) -> None:
    embedding.weight = nn.Parameter(table, requires_grad=embedding.weight.requires_grad)
    embedding.num_embeddings, embedding.padding_idx = len(table), padding
