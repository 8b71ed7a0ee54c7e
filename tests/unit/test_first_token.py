"""A last layer that computes the first token alone changes neither outputs nor gradients, and saves what it should."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    PreTrainedModel,
    RobertaConfig,
    XLMRobertaConfig,
)

from src.core.models.classifier import load_classifier
from src.core.speed.dropout import use_cpu_dropout
from src.core.speed.first_token import compute_first_token_only

SIZES = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
LIKE_BERT = [BertConfig, CamembertConfig, ElectraConfig, RobertaConfig, XLMRobertaConfig]
READ_FIRST_TOKEN = {
    **{config.model_type: config(**SIZES, **NO_DROPOUT, pad_token_id=0) for config in LIKE_BERT},
    "distilbert": DistilBertConfig(
        **{"vocab_size": 64, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "pad_token_id": 0},
        **dict.fromkeys(("dropout", "attention_dropout", "seq_classif_dropout"), 0.0),
    ),
}
READ_MORE = {
    "modernbert": ModernBertConfig(**SIZES, classifier_pooling="mean", pad_token_id=0, cls_token_id=0, sep_token_id=0),
    "gpt2": GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, pad_token_id=0),
    "a decoder of BERT's": BertConfig(**SIZES, is_decoder=True),
    "eager attention": BertConfig(**SIZES, attn_implementation="eager"),
    "flex attention": BertConfig(**SIZES, attn_implementation="flex_attention"),
}
IDS = torch.tensor([[2, 10, 11, 12, 3], [2, 20, 3, 0, 0]])
INPUTS = {"input_ids": IDS, "attention_mask": (IDS != 0).long()}


def whole_and_cut(config) -> tuple[PreTrainedModel, PreTrainedModel]:
    torch.manual_seed(0)
    whole = AutoModelForSequenceClassification.from_config(config).train()
    for parameter in whole.parameters():  # the first values of a norm or a bias would hide faults of theirs
        nn.init.normal_(parameter, std=0.2)
    cut = copy.deepcopy(whole)
    compute_first_token_only(cut)
    return whole, cut


@pytest.mark.parametrize("config", READ_FIRST_TOKEN.values(), ids=READ_FIRST_TOKEN)
def test_logits_and_gradients_are_those_of_the_whole_layer(config):
    whole, cut = whole_and_cut(config)
    expected, logits = whole(**INPUTS).logits, cut(**INPUTS).logits
    assert torch.allclose(logits, expected, atol=1e-6)
    assert cut.base_model(**INPUTS).last_hidden_state.shape == (2, 1, 32)
    for output in (expected, logits):
        nn.functional.cross_entropy(output, torch.tensor([0, 1])).backward()
    own = dict(cut.named_parameters())
    for name, parameter in whole.named_parameters():
        assert torch.allclose(own[name].grad, parameter.grad, atol=1e-6), name


@pytest.mark.parametrize("config", READ_MORE.values(), ids=READ_MORE)
def test_models_that_read_more_stay_as_they_are(config):
    _, cut = whole_and_cut(config)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):  # flex attention would be compiled for 20 s
        assert cut.eval().base_model(**INPUTS).last_hidden_state.shape == (2, 5, 32)


def test_a_student_cut_from_layers(tiny_encoder):
    """Of the layers that a student keeps, the last one is meant; logits and features are those of whole layers."""
    student = tiny_encoder.model_copy(update={"layers": [0, 2]})
    cut, whole = (load_classifier(student, ["a", "b"], 0, 0).eval() for _ in range(2))
    compute_first_token_only(cut.model)
    tokens = [model.model.base_model(**INPUTS).last_hidden_state.shape[1] for model in (cut, whole)]
    assert tokens == [1, 5]
    for values, expected in zip(cut(**INPUTS), whole(**INPUTS), strict=True):
        assert torch.allclose(values, expected, atol=1e-6)


def test_it_goes_together_with_dropout_on_the_cpu():
    """Next to nothing is dropped: the outputs in training are those of evaluation."""
    config = BertConfig(**SIZES, hidden_dropout_prob=1e-9, attention_probs_dropout_prob=1e-9, pad_token_id=0)
    whole, cut = whole_and_cut(config)
    use_cpu_dropout(cut)
    assert torch.allclose(cut.train()(**INPUTS).logits, whole.eval()(**INPUTS).logits, atol=1e-6)


def test_products_saved():
    """Of the linear layers, with t tokens, width d and 2 d within: a layer has 16 t d^2, the last one 4 t d^2 + 12 d^2,
    the pooler and a head of two labels 2 d^2 and 4 d. torch's counter leaves out the CPU's fused attention."""
    tokens, width = 5, 32
    layer, last, head = 16 * tokens * width**2, (4 * tokens + 12) * width**2, 2 * width**2 + 4 * width
    counts = []
    for model in whole_and_cut(READ_FIRST_TOKEN["bert"]):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.eval()(**{name: values[:1] for name, values in INPUTS.items()})
        counts.append(counter.get_total_flops())
    assert counts == [2 * layer + head, layer + last + head] == [166_016, 116_864]
