"""Dropout on the CPU drops what it should, scales by what it dropped, and repeats with the seed."""

import pytest
import torch
from torch import nn

from src.core.dropout import STEPS, CpuDropout, dropout_mask, use_cpu_dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_and_the_scale(p):
    """A million elements: the share that is dropped is p to three standard errors, and the mean is 1."""
    torch.manual_seed(0)
    mask = dropout_mask(torch.zeros(1000, 1001), p)
    dropped = (mask == 0).double().mean().item()
    assert dropped == pytest.approx(p, abs=3 * (p * (1 - p) / mask.numel()) ** 0.5)
    kept = mask[mask != 0]
    assert torch.equal(kept, torch.full_like(kept, STEPS / (STEPS - round(p * STEPS))))
    assert mask.double().mean().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("apart", [1, 2, 3, 4, 384])
def test_elements_are_independent(apart):
    """Four of them share one random number, and rows lie beside each other: no correlation beyond three errors."""
    torch.manual_seed(0)
    mask = (dropout_mask(torch.zeros(2**20), 0.3) == 0).double()
    one, other = mask[:-apart], mask[apart:]
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1].item()) < 3 / len(one) ** 0.5


def test_what_is_dropped_gets_no_gradient():
    torch.manual_seed(0)
    values = torch.ones(7, 33, requires_grad=True)
    dropped = CpuDropout(0.25)(values)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped.detach())
    assert 0 < (dropped == 0).sum() < dropped.numel()


def test_it_does_nothing_in_evaluation_or_at_zero():
    values = torch.randn(3, 4)
    assert CpuDropout(0.5).eval()(values) is values
    assert CpuDropout(0.0)(values) is values
    assert not CpuDropout(1.0)(values).any()


def test_the_seed_repeats_it_on_any_number_of_threads():
    masks = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.manual_seed(5)
        masks.append(dropout_mask(torch.zeros(100, 384), 0.1))
    assert torch.equal(*masks)


def test_every_dropout_layer_of_a_model_is_replaced():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1), nn.Sequential(nn.Dropout(0.3), nn.Tanh()))
    use_cpu_dropout(model)
    assert [module.p for module in model.modules() if isinstance(module, CpuDropout)] == [0.1, 0.3]
    assert not [module for module in model.modules() if type(module) is nn.Dropout]
