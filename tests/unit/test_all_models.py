"""Every kind of model that `AutoModelForSequenceClassification` knows serves in full, or is refused in one line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from src.core.method.cmi import log_probabilities
from src.core.method.spaces import Outputs
from src.core.models.classifier import Classifier, load_classifier
from src.core.models.encoding import EncodedSplit, encode
from src.core.models.tokenizer import load_tokenizer
from src.core.speed.dropout import use_cpu_dropout
from src.core.speed.head_alone import check_head_alone
from src.core.speed.vocabulary import CompactVocabulary
from src.params import ModelSource
from src.system.errors import UserError
from tests.conftest import word_tokenizer
from tests.support.tiny_models import KINDS, LAYERS, TEXTS, save_tiny_model

ROWS = torch.arange(len(TEXTS))

ENCODER_DECODERS = ("bart", "bigbird_pegasus", "mbart", "mt5", "mvp", "plbart", "t5", "t5gemma", "t5gemma2", "umt5")
REFUSED = {
    **dict.fromkeys(ENCODER_DECODERS, "model, an encoder with a decoder; use an encoder, or a decoder-only model"),
    **dict.fromkeys(("canine", "perceiver"), "it has no table with a vector for each token"),
    **dict.fromkeys(
        ("convbert", "fnet", "funnel", "nystromformer", "yoso"),
        "its outputs for a text change with the padding beside it",
    ),
    "eurobert": "the vector that enters its head cannot be found",
    "layoutlmv2": "requires the detectron2 library",
    "mra": "its outputs are the same for different texts",  # its kernel is for CUDA, and models are tried on the CPU
    "reformer": "make sure that config.axial_pos_shape factors: (64, 64) multiply to sequence length",
    "tapas": "too many indices for tensor of dimension 2",
    "xlnet": "its head reads the padding on the right of a text: it pads on the left, or not at all",
    "xmod": "Input language unknown",
}
UNCUT = {
    **dict.fromkeys(("diffllama", "esmc", "minicpm3"), "gives other outputs once it is saved"),
    **dict.fromkeys(("flaubert", "xlm"), "does not work (list index out of range)"),
    "esm": "loses esm.contact_head.regression.weight once it is saved",
    "jamba": "does not work (",  # it takes an attention layer, and [0, 2] has none
}
# One layer passed many times; a layer of two streams; one whose output is a list; one not called but by its `forward`.
SKIP_IS_NO_IDENTITY = ("albert", "lilt", "openai-gpt", "squeezebert")
NO_HEAD_ALONE = ("longformer", "luke")  # their heads ask the backbone for more than its states
# One of each rule and of each reason, for those who do not wait for all.
FEW = ("bert", "deberta-v2", "distilbert", "gpt2", "gpt_neo", "modernbert", "modernbert-decoder", "qwen3", "xlm")
FEW += ("bart", "canine", "diffllama", "eurobert", "fnet", "mra", "xlnet", "xmod")
OTHER_SETTINGS = {
    "eurobert that reads its first token": ("eurobert", {"classifier_pooling": "bos"}, "first_token"),
    "eurobert that takes the mean": ("eurobert", {"classifier_pooling": "mean"}, "mean_of_tokens"),
    "modernbert that takes the mean": ("modernbert", {"classifier_pooling": "mean"}, "mean_of_tokens"),
    "xmod with a language": ("xmod", {"default_language": "en_XX"}, "first_token"),
    "xlm that takes the mean, with padding": ("xlm", {"summary_type": "mean"}, "reads the padding"),
    "xlm that reads the last place": ("xlm", {"summary_type": "last"}, "reads the padding"),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[] if kind in FEW else pytest.mark.slow) for kind in KINDS])
def test_each_kind_serves_or_is_refused(kind, tmp_path, record_property):
    record_property("model", kind)
    source = save_tiny_model(kind, word_tokenizer("[PAD]"), tmp_path / "model")
    if kind in REFUSED:
        record_property("refused", refusal(source, REFUSED[kind]))
        return
    record_property("h", serve(source, tmp_path / "kept"))
    a_new_head_is_drawn(source, tmp_path / "anew")
    cut = source.model_copy(update={"layers": [0, 2]})
    if kind in UNCUT:
        record_property("uncut", refusal(cut, UNCUT[kind]))
    else:
        kept_folder_is_the_model(load(cut), tmp_path / "cut")
        if kind not in SKIP_IS_NO_IDENTITY:
            only_these_layers_are_left(load(source), load(cut))


@pytest.mark.parametrize("case", OTHER_SETTINGS.values(), ids=OTHER_SETTINGS)
def test_what_a_config_asks_for_decides(case, tmp_path):
    kind, settings, expected = case
    source = save_tiny_model(kind, word_tokenizer("[PAD]"), tmp_path / "model", **settings)
    if " " in expected:
        refusal(source, expected)
    else:
        assert serve(source, tmp_path / "kept") == expected


def load(source: ModelSource) -> Classifier:
    model = load_classifier(source, ["negative", "positive"], load_tokenizer(source).pad_token_id, 0, tokens=20)
    use_cpu_dropout(model.model)
    return model.eval()


def refusal(source: ModelSource, expected: str) -> str:
    """What is wrong with a model by the line that refuses it."""
    with pytest.raises(UserError) as raised:
        load(source)
    assert expected in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    kind = json.loads((Path(source.name) / "config.json").read_text())["model_type"]
    return re.split(rf"{kind} model(?: with only layers .*\] of \S+)?[:,]?(?: and)? ", raised.value.problem)[-1]


def serve(source: ModelSource, folder: Path) -> str:
    """All that a run asks of a model; the name of the rule that makes h."""
    model = load(source)
    h_is_all_that_enters_the_head(model)
    if model.model.config.model_type not in NO_HEAD_ALONE:
        check_head_alone(source, model, "fp32", model.model.config.pad_token_id)
    padding_changes_nothing(model)
    kept_folder_is_the_model(model, folder)
    feature_space_teaches(model)
    return model.head_input.rule.__name__


def tokenised() -> EncodedSplit:
    return encode(TEXTS, word_tokenizer("[PAD]"), 20)


def outputs(model: Classifier, split: EncodedSplit | None = None, rows: Tensor = ROWS) -> Outputs:
    with torch.no_grad():
        return model(**(split or tokenised()).batch(rows))


def h_is_all_that_enters_the_head(model: Classifier) -> None:
    """With h in the place of every vector that the backbone hands on, logits are the same; with another, others."""
    logits, h = outputs(model)
    put = h

    def backbone(module: nn.Module, inputs: Any, found: dict[str, Tensor]) -> None:
        for name in ("last_hidden_state", "pooler_output"):
            if name in found:
                found[name] = put.clone() if found[name].ndim == 2 else put.unsqueeze(1).expand_as(found[name])

    handles = [model.model.base_model.register_forward_hook(backbone)]
    if hasattr(model.model, "pooler"):
        handles.append(model.model.pooler.register_forward_hook(lambda *_: put))
    assert torch.allclose(outputs(model).logits, logits, atol=1e-5)
    put = h.flip(0)
    assert torch.allclose(outputs(model).logits, logits.flip(0), atol=1e-5)
    assert not torch.allclose(logits, logits.flip(0), atol=1e-4)
    for handle in handles:
        handle.remove()


def padding_changes_nothing(model: Classifier) -> None:
    logits, h = outputs(model)
    for row in ROWS:
        alone = outputs(model, rows=row.unsqueeze(0))
        assert torch.allclose(alone.logits[0], logits[row], atol=1e-5)
        assert torch.allclose(alone.features[0], h[row], atol=1e-5)


def kept_folder_is_the_model(model: Classifier, folder: Path) -> None:
    """Also after a while with the tokens in use only."""
    tokenizer, split = word_tokenizer("[PAD]"), tokenised()
    logits = outputs(model, split).logits
    vocabulary = CompactVocabulary(model.model, [split], tokenizer.pad_token_id)
    assert torch.allclose(outputs(model, vocabulary.numbered(split)).logits, logits, atol=1e-6)
    vocabulary.restore()
    model.model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    again = load(ModelSource(source="folder", name=str(folder)))
    assert torch.allclose(outputs(again, split).logits, logits, atol=1e-6)


def only_these_layers_are_left(whole: Classifier, cut: Classifier) -> None:
    """The whole model gives the student's outputs where layers 1 and 3 hand on what they get."""

    def skip(layer: nn.Module, places: tuple, names: dict, output: Any) -> Any:
        hidden = places[0] if places else names["hidden_states"]
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    for part in whole.model.base_model.modules():
        if isinstance(part, nn.ModuleList) and len(part) == LAYERS:
            for layer in (part[1], part[3]):
                layer.register_forward_hook(skip, with_kwargs=True)
    assert torch.allclose(outputs(whole).logits, outputs(cut).logits, atol=1e-5)


def a_new_head_is_drawn(source: ModelSource, folder: Path) -> None:
    saved, anew = load(source), load(source.model_copy(update={"new_head": True}))
    backbone = {id(weight) for weight in saved.model.base_model.parameters()}
    for name, weight in saved.model.named_parameters():
        same = torch.equal(weight, anew.model.get_parameter(name))
        assert same == (id(weight) in backbone or weight.ndim == 1), name  # biases and scales are drawn as they were
    kept_folder_is_the_model(anew, folder)


def feature_space_teaches(model: Classifier) -> None:
    """A small step down the gradient of the vectors' divergence makes it smaller."""
    split = tokenised()

    def divergence() -> Tensor:
        log_p = log_probabilities(model(**split.batch(ROWS)).features, 1.0)
        return (log_p.exp() * (log_p - log_p.exp().mean(dim=0).detach().log())).sum(dim=1).mean()

    before = divergence()
    before.backward()
    moved = [weight for weight in model.model.base_model.parameters() if weight.grad is not None]
    size = sum(weight.grad.square().sum() for weight in moved)
    with torch.no_grad():
        for weight in moved:
            weight -= 0.01 * before / size * weight.grad
        assert size > 0
        assert 0.9 * before < divergence() < before
