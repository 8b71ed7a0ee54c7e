"""LoRA: where it starts, what it trains, what checkpoints hold of it, and what is saved."""

import json

import pytest
import torch
from accelerate import Accelerator
from peft import AutoPeftModelForSequenceClassification, PeftModel
from transformers import AutoModelForSequenceClassification

from src.core.models.classifier import Classifier, load_classifier
from src.core.models.trained_weights import put_trained_weights, trained_weights
from src.core.training.checkpoints import Checkpoints
from src.core.training.loop import Setup
from src.core.training.phases import train
from src.params import ModelSource, Objective
from src.system.errors import UserError
from tests.support.objectives import BASE
from tests.support.training import KINDS, LABELS, NEVER, TOKENS, TWO_EPOCHS, Killed, KilledAt, adapted, data_for


def trained(source: ModelSource, checkpoints: Checkpoints | None = None, **objective: object) -> Classifier:
    torch.set_num_threads(1)
    model = load_classifier(source, LABELS, 0, 0)
    setup = Setup(model, data_for(source, noise=0.2), 0, Accelerator(cpu=True))
    train(setup, Objective(**BASE | objective), TWO_EPOCHS.model_copy(update={"lr": 1e-2}), checkpoints)
    return model


@pytest.fixture(params=KINDS)
def source(request) -> ModelSource:
    return request.getfixturevalue(request.param)


def test_it_starts_where_the_model_without_it_does(source):
    plain, with_lora = (load_classifier(which, LABELS, 0, 0).eval() for which in (source, adapted(source)))
    assert torch.equal(plain(**TOKENS).logits, with_lora(**TOKENS).logits)
    assert torch.equal(plain(**TOKENS).features, with_lora(**TOKENS).features)


@pytest.mark.parametrize("space", ["feature", "class"])
def test_what_is_trained_changes_and_nothing_else(source, space):
    before = load_classifier(adapted(source), LABELS, 0, 0).state_dict()
    model = trained(adapted(source), cmi_weight=1.0, space=space)
    after, learnt = model.state_dict(), trained_weights(model)
    assert {name for name in after if not torch.equal(before[name], after[name])} == set(learnt)
    assert all("lora_" in name or "modules_to_save" in name for name in learnt)


def test_a_rank_and_width_say_how_many_weights_are_trained(tiny_encoder):
    """Query and value of four layers of width 32 get A and B of rank 2; the head has 32 weights and a bias a label."""
    model = load_classifier(adapted(tiny_encoder, targets=["query", "value"]), LABELS, 0, 0)
    counts = {name: weight.numel() for name, weight in trained_weights(model).items()}
    assert sum(count for name, count in counts.items() if "lora_" in name) == 4 * 2 * (2 * 32 + 32 * 2)
    assert sum(count for name, count in counts.items() if "lora_" not in name) == 2 * 32 + 2


def test_the_update_is_scaled_by_alpha_over_rank(tiny_encoder):
    model = load_classifier(adapted(tiny_encoder, rank=4, alpha=2, targets=["query"]), LABELS, 0, 0)
    layer = model.model.bert.encoder.layer[0].attention.self.query
    a, b = (part["default"].weight.data for part in (layer.lora_A, layer.lora_B))
    b.fill_(0.5)
    x = torch.randn(3, 32)
    assert torch.allclose(layer(x) - layer.base_layer(x), 2 / 4 * x @ a.T @ b.T, atol=1e-6)


def test_a_killed_run_ends_as_one_that_was_not(source, tmp_path):
    whole = trained(adapted(source, dropout=0.1), cmi_weight=1.0).state_dict()
    for step in (4, 17):
        with pytest.raises(Killed):
            trained(adapted(source, dropout=0.1), KilledAt(tmp_path, step), cmi_weight=1.0)
    resumed = trained(adapted(source, dropout=0.1), Checkpoints(tmp_path, NEVER), cmi_weight=1.0).state_dict()
    assert all(torch.equal(resumed[name], weight) for name, weight in whole.items())


def test_a_checkpoint_holds_the_adapter_and_the_head_alone(tiny_encoder, tmp_path):
    with pytest.raises(Killed):
        trained(adapted(tiny_encoder), KilledAt(tmp_path, 12))
    state = Checkpoints(tmp_path, NEVER).load()
    learnt = set(trained_weights(load_classifier(adapted(tiny_encoder), LABELS, 0, 0)))
    assert set(state["model"]) == set(state["kept"]["weights"]) == learnt
    assert len(state["optimizer"]["state"]) == len(learnt)


def test_weights_of_another_adapter_are_refused(tiny_encoder):
    few, all_layers = (
        load_classifier(adapted(tiny_encoder, targets=targets), LABELS, 0, 0) for targets in (["query"], "all")
    )
    with pytest.raises(RuntimeError, match="the weights belong to another model"):
        put_trained_weights(few, trained_weights(all_layers))


def test_what_is_saved_says_what_the_run_said(source, tmp_path, monkeypatch):
    """The merged model by transformers alone, and the adapter over the pre-trained model; no name of a cache."""
    model = trained(adapted(source), cmi_weight=1.0).eval()
    expected = model(**TOKENS).logits
    for save in model.savers:
        save(tmp_path)
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.allclose(merged(**TOKENS).logits, expected, atol=1e-5)
    assert merged.config.id2label == dict(enumerate(LABELS))
    base = AutoModelForSequenceClassification.from_pretrained(source.name, num_labels=2, pad_token_id=0)
    over_base = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert torch.allclose(over_base(**TOKENS).logits, expected, atol=1e-5)
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (2, 4, source.name)
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "adapter", pad_token_id=0) is not None


def test_a_target_that_the_model_lacks_is_named(tiny_encoder):
    with pytest.raises(UserError) as caught:
        load_classifier(adapted(tiny_encoder, targets=["query", "q_proj"]), LABELS, 0, 0)
    assert str(caught.value) == (
        f"params.yaml: models: lora.targets: {tiny_encoder.name} has no linear layer 'q_proj'; "
        "allowed: all, or some of dense, key, query, value"
    )
