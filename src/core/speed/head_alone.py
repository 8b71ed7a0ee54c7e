"""A classifier's head without its backbone: h of each row is computed once and looked up by the row's number.

The head is the classifier's own, with the same weights, so that training it trains the classifier. What runs is the
model's own code with a table in the place of its backbone, for which each text is one token: the first token's vector,
the last one's, the mean over tokens and a pooler's output are then all h.
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

ROUNDING = 1e-4  # of the largest logit


class _Table(nn.Module):
    """In the place of a backbone: the vectors of rows, by number."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.vectors = vectors  # no buffer, which several processes would send each other in each step

    def forward(self, input_ids: Tensor, *_: Any, **__: Any) -> BaseModelOutputWithPoolingAndCrossAttentions:
        vectors: Any = self.vectors[input_ids[:, 0]]
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=vectors.unsqueeze(1), pooler_output=vectors
        )


class _Pooled(nn.Module):
    """In the place of a pooler outside of the backbone: h has been pooled."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden[:, 0]


def head_alone(classifier: Classifier, features: Tensor, precision: Precision) -> Classifier:
    """The head of a classifier as a classifier of row numbers, with the features (N, d) of these rows.

    It computes in the precision that it has within the classifier.
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
    """What `head_alone` takes for texts: the numbers of some rows in a row."""
    numbers = torch.arange(rows)
    return EncodedSplit((first + numbers).int(), None, numbers, torch.ones_like(numbers), pad_id=0)


@torch.no_grad()
def check_head_alone(source: ModelSource, classifier: Classifier, precision: Precision, pad_id: int) -> None:
    """Refuse, before training, a model whose head does not say the same of h alone as of its texts.

    Raises:
        UserError: it does not, or there is no head beside the backbone.
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
