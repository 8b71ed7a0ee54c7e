"""The last layer, computed only for the first token if the head reads no other.

The pooler or head of BERT and its like reads the first token's hidden state. In the last layer, every token is still
needed as a key and a value. But queries, the output projection and the feed-forward part, ten twelfths of the layer's
products, are needed only for the first token. Leaving out the others saves a seventh of all products in a model of six
layers, and more than a quarter in one of three. Logits, features and gradients are the same to float rounding.
"""

from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

if TYPE_CHECKING:
    from transformers.models.bert.modeling_bert import BertCrossAttention, BertLayer, BertSelfAttention
    from transformers.models.distilbert.modeling_distilbert import DistilBertSelfAttention, TransformerBlock


def compute_first_token_only(model: PreTrainedModel) -> None:
    """Make the last layer of a classifier return hidden states (n, 1, d), if its kind is in `LAST_LAYERS`.

    Parameters keep their names and places. Models of other kinds stay unchanged.
    """
    known = LAST_LAYERS.get(model.config.model_type)
    is_decoder = getattr(model.config, "is_decoder", False)
    # Other kinds of attention, which a config can choose, have masks of other forms.
    if known is not None and not is_decoder and model.config._attn_implementation == "sdpa":
        place, forward = known
        last = list(model.base_model.get_submodule(place).children())[-1]
        last.forward = MethodType(forward, last)


def _bert_layer(layer: "BertLayer", hidden: Tensor, mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
    """`BertLayer.forward` for the first token: (n, 1, d) from hidden states (n, tokens, d)."""
    own = layer.attention.self
    found = _attend(own, (own.query, own.key, own.value), hidden, mask)
    return layer.feed_forward_chunk(layer.attention.output(found, hidden[:, :1]))


def _distilbert_layer(
    layer: "TransformerBlock", hidden: Tensor, mask: Tensor | None = None, *_: Any, **__: Any
) -> Tensor:
    """`TransformerBlock.forward` of DistilBERT for the first token: (n, 1, d) from hidden states (n, tokens, d)."""
    own = layer.attention
    found = _attend(own, (own.q_lin, own.k_lin, own.v_lin), hidden, mask)
    attended = layer.sa_layer_norm(own.out_lin(found) + hidden[:, :1])
    return layer.output_layer_norm(layer.ffn(attended) + attended)


def _attend(
    attention: "BertSelfAttention | BertCrossAttention | DistilBertSelfAttention",
    projections: tuple[nn.Linear, ...],
    hidden: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """Attention of the first token to all tokens: (n, 1, d). `mask` is (n, 1, tokens or 1, tokens)."""
    width = attention.attention_head_size
    query, key, value = (
        project(states).unflatten(-1, (-1, width)).transpose(1, 2)
        for project, states in zip(projections, (hidden[:, :1], hidden, hidden), strict=True)
    )
    found, _ = AttentionInterface()[attention.config._attn_implementation](
        attention,
        query,
        key,
        value,
        mask if mask is None else mask[:, :, :1],
        dropout=attention.dropout.p if attention.training else 0.0,
        scaling=attention.scaling,
    )
    return found.flatten(2)


# Kinds of encoders whose pooler or head reads the first token: the module of their layers, and the last one's forward.
LIKE_BERT = ("bert", "camembert", "electra", "roberta", "xlm-roberta")
LAST_LAYERS: dict[str, tuple[str, Callable[..., Tensor]]] = dict.fromkeys(LIKE_BERT, ("encoder.layer", _bert_layer)) | {
    "distilbert": ("transformer.layer", _distilbert_layer)
}
