"""Folders of models that hold more than a model reads."""

import json

import pytest
from transformers import BertForSequenceClassification

import stages.finetune
from tests.test_hostile import FINETUNE, Case, model, prepared, refused, workplace  # noqa: F401  fixtures

pytestmark = pytest.mark.fault

KIND = "model folders"


def test_of_two_sets_of_weights_none_is_chosen(model, refused):  # noqa: F811
    """transformers would load the older model.safetensors, without a word."""
    BertForSequenceClassification.from_pretrained(model).save_pretrained(model / "newer", max_shard_size="60KB")
    assert len(json.loads((model / "newer/model.safetensors.index.json").read_text())["weight_map"]) > 1
    for path in (model / "newer").iterdir():
        if path.name != "config.json":
            path.rename(model / path.name)
    expected = "holds two sets of weights, model.safetensors and the shards of model.safetensors.index.json; a folder"
    case = Case("an old model.safetensors beside a newer index with shards", None, expected)
    refused(KIND, case, stages.finetune.main, *FINETUNE)
