"""Folders of models that hold more than a model reads."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForPreTraining, BertForSequenceClassification, BertModel

import stages.finetune
from src.core.models.classifier import load_classifier
from src.params import ModelSource
from tests.faults.hostile.cases import FINETUNE, Case

KIND = "model folders"


def test_of_two_sets_of_weights_none_is_chosen(model, refused):
    """transformers would load the older model.safetensors, without a word."""
    BertForSequenceClassification.from_pretrained(model).save_pretrained(model / "newer", max_shard_size="60KB")
    assert len(json.loads((model / "newer/model.safetensors.index.json").read_text())["weight_map"]) > 1
    for path in (model / "newer").iterdir():
        if path.name != "config.json":
            path.rename(model / path.name)
    expected = "has two sets of weights, model.safetensors and the shards of model.safetensors.index.json; keep"
    case = Case("an old model.safetensors beside a newer index with shards", None, expected)
    refused(KIND, case, stages.finetune.main, *FINETUNE)


def with_layers(model, shape, layers: int) -> None:
    """Its weights as another class saves them, under a config with another number of layers."""
    shape.from_pretrained(model).save_pretrained(model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))


@pytest.mark.parametrize("shape", [BertForSequenceClassification, BertModel, BertForPreTraining])
def test_layers_that_the_config_leaves_out_are_named(model, refused, shape):
    with_layers(model, shape, 3)
    expected = (
        "has no place for 16 of its weights, such as " + ("" if shape is BertModel else "bert.") + "encoder.layer.3"
    )
    case = Case(f"a config.json with three layers of four ({shape.__name__})", None, expected)
    refused(KIND, case, stages.finetune.main, *FINETUNE)


def test_a_weight_of_the_backbone_that_no_model_has_is_named(model, refused):
    weights = load_file(model / "model.safetensors")
    save_file(
        weights | {"bert.encoder.layer.0.gate.weight": torch.ones(2)}, model / "model.safetensors", {"format": "pt"}
    )
    expected = "has no place for 1 of its weights, such as bert.encoder.layer.0.gate.weight"
    refused(KIND, Case("an unknown weight in a layer", None, expected), stages.finetune.main, *FINETUNE)


def test_the_head_of_pretraining_and_old_buffers_are_named_and_left_out(model, capsys):
    with_layers(model, BertForPreTraining, 4)
    weights = load_file(model / "model.safetensors")
    old = {"bert.embeddings.position_ids": torch.arange(8), "bert.encoder.layer.0.attention.masked_bias": torch.ones(1)}
    save_file(weights | old, model / "model.safetensors", {"format": "pt"})
    load_classifier(ModelSource(source="folder", name="model"), ["negative", "positive"], 0, 0)
    assert capsys.readouterr().out == (
        "model: 8 weights are not used, such as bert.encoder.layer.0.attention.masked_bias\n"
    )


def test_an_adapter_beside_the_weights_is_refused(model, refused):
    (model / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "model"}))
    expected = "has an adapter (adapter_config.json) beside its weights; merge the adapter"
    refused(KIND, Case("an adapter_config.json beside the weights", None, expected), stages.finetune.main, *FINETUNE)


def test_a_weight_in_two_shards_is_named(model, refused):
    whole = BertForSequenceClassification.from_pretrained(model)
    (model / "model.safetensors").unlink()
    whole.save_pretrained(model, max_shard_size="60KB")
    first, second, *_ = sorted(model.glob("model-*.safetensors"))
    weights = load_file(first)
    key = min(weights)
    save_file(load_file(second) | {key: weights[key] + 1}, second, {"format": "pt"})
    expected = f"model.safetensors.index.json: {key} is in {first.name} and in {second.name}; keep it in one of them"
    refused(KIND, Case("a weight in two shards", None, expected), stages.finetune.main, *FINETUNE)
