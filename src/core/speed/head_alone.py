"""A classifier's head without its backbone: h of each row is computed once and looked up by the row's number.

The head shares its weights with the classifier, so training it trains the classifier. The model's own code runs with a
table in place of its backbone. For this table each text is one token. So the first token's vector, the last token's,
the mean over tokens and a pooler's output are all h.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

from src.core.models.classifier import Classifier
from src.core.models.encoding import EncodedSplit
from src.core.models.files import DAMAGE, raise_if_memory
from src.core.models.head_input import trial_inputs
from src.core.speed.half_precision import round_passes
from src.params import ModelSource, Precision
from src.system.errors import UserError, first_line

ROUNDING = 1e-4  # share of the largest logit


class _Table(nn.Module):
    """A replacement for a backbone: the vectors of rows, by number."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.vectors = vectors  # not a buffer, which several processes would exchange in each step

    def forward(self, input_ids: Tensor, *_: Any, **__: Any) -> BaseModelOutputWithPoolingAndCrossAttentions:
        vectors: Any = self.vectors[input_ids[:, 0]]
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=vectors.unsqueeze(1), pooler_output=vectors
        )


class _Pooled(nn.Module):
    """A replacement for a pooler outside the backbone, because h is already pooled."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden[:, 0]


def head_alone(classifier: Classifier, features: Tensor, precision: Precision) -> Classifier:
    """The head of a classifier as a classifier of row numbers, with the features (N, d) of these rows.

    It computes in the same precision as in the classifier.
    """
    whole: PreTrainedModel = classifier.model
    model = copy.copy(whole)
    model._modules = whole._modules | {whole.base_model_prefix: _Table(features)}
    if classifier.head_input.source == "pooler":
        model._modules["pooler"] = _Pooled()
    head = Classifier(model, classifier.head_input)
    round_passes(head, precision)
    return head


def row_numbers(first: int, rows: int) -> EncodedSplit:
    """The texts of `head_alone`: the numbers of consecutive rows."""
    numbers = torch.arange(rows)
    return EncodedSplit((first + numbers).int(), None, numbers, torch.ones_like(numbers), pad_id=0)


@torch.no_grad()
def check_head_alone(source: ModelSource, classifier: Classifier, precision: Precision, pad_id: int) -> None:
    """Check before training that a model's head gives the same logits for h as the model gives for texts.

    Raises:
        UserError: it does not, or the model has no head outside the backbone.
    """
    problem = f"{source.name} is a {classifier.model.config.model_type} model, whose head cannot be trained alone"
    if classifier.model.base_model is classifier.model:
        raise UserError("params.yaml: training.head_epochs", problem, "set it to 0")
    texts = classifier.eval()(**trial_inputs(classifier.model, pad_id))
    try:
        head = head_alone(classifier, texts.features.float(), precision).eval()
        found = head(**row_numbers(0, 2).batch(torch.arange(2)))
    except DAMAGE as error:
        raise_if_memory(error)
        raise UserError(
            "params.yaml: training.head_epochs", f"{problem} ({first_line(error)})", "set it to 0"
        ) from None
    if not torch.allclose(found.logits, texts.logits, rtol=0, atol=ROUNDING * float(texts.logits.abs().max())):
        raise UserError("params.yaml: training.head_epochs", problem, "set it to 0")
