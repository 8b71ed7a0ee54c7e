"""Flat weights train as single ones do, and stacked models have the clipped gradients of each model alone."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.optim import AdamW
from transformers import AutoModelForSequenceClassification

from benchmarks.gpu import stacked
from benchmarks.gpu.flat import FlatWeights, weights_of_products
from benchmarks.gpu.made import small_shapes
from benchmarks.gpu.stacked import Stacked, made_rows, new_models

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = small_shapes(width=32, layers=2)["BERT"]  # without dropout
RATE, MOST = 1e-3, 0.1
IDS, LABELS = torch.arange(4, 28).view(4, 6), torch.tensor([0, 1, 1, 0])


def loss(model) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return F.cross_entropy(model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits.float(), LABELS)


def groups(model) -> list[dict]:
    weights = list(model.parameters())
    decayed, others = ([weight for weight in weights if (weight.ndim >= 2) == wide] for wide in (True, False))
    return [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]


def test_flat_weights_are_trained_as_single_ones_are():
    torch.manual_seed(0)
    single = AutoModelForSequenceClassification.from_config(CONFIG)
    flat = copy.deepcopy(single)
    optimizer, own = AdamW(groups(single), lr=RATE), FlatWeights(flat, groups(flat), RATE, MOST)
    before = {name: weight.detach().clone() for name, weight in single.named_parameters()}
    for _ in range(3):
        loss(single).backward()
        assert torch.nn.utils.clip_grad_norm_(single.parameters(), MOST) > MOST
        optimizer.step()
        optimizer.zero_grad()
        loss(flat).backward()
        own.step()
    assert loss(flat).item() == pytest.approx(loss(single).item(), abs=1e-5)
    rounded = weights_of_products(flat)
    for name, weight in flat.named_parameters():
        expected = single.get_parameter(name)
        assert weight.dtype == (torch.bfloat16 if id(weight) in rounded else torch.float32)
        assert not torch.equal(expected, before[name])
        assert torch.allclose(weight.float(), expected.to(weight.dtype).float(), atol=1e-5), name


def test_stacked_models_have_the_clipped_gradients_of_each_alone(monkeypatch):
    monkeypatch.setattr(stacked, "MAX_GRAD_NORM", MOST)
    models, (tokens, labels) = new_models(CONFIG, 3), made_rows(CONFIG, 3, (4, 6))
    found = Stacked(models, (tokens, labels), torch.device("cpu"), rounds=False).gradients()
    for number, model in enumerate(models):
        F.cross_entropy(model(input_ids=tokens[number]).logits, labels[number]).backward()
        assert torch.nn.utils.clip_grad_norm_(model.parameters(), MOST) > MOST
        for name, weight in model.named_parameters():
            assert torch.allclose(found[name][number], weight.grad, atol=1e-5), name
