"""Dropout on the CPU drops what it should, scales by what it dropped, and repeats with the seed."""

import pytest
import torch
from torch import nn

from src.core.models.classifier import load_classifier
from src.core.models.encoding import encode
from src.core.models.tokenizer import load_tokenizer
from src.core.speed.dropout import ATTENTION, STEPS, CpuDropout, attention, dropout_mask, use_cpu_dropout


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


@pytest.mark.parametrize(
    ("p", "scale", "dropped"), [(0.1, 1.109375, 6461), (0.2, 1.25, 13107), (0.5, 2.0, 32768), (1.0, 0.0, 65536)]
)
def test_in_bf16_p_is_rounded_to_one_whose_scale_is_exact(p, scale, dropped):
    """65536 (1 - 1 / scale) of the values of 16 bits drop an element; 1 / 0.9 in bf16 is 1.109375."""
    torch.manual_seed(0)
    mask = dropout_mask(torch.zeros(1000, 1001, dtype=torch.bfloat16), p)
    assert set(mask.unique().tolist()) == {0.0, scale}
    share = dropped / STEPS
    assert (mask == 0).double().mean().item() == pytest.approx(share, abs=3 * (share * (1 - share) / 1001000) ** 0.5)


def test_the_masks_of_a_seed_in_float32_stay_what_they_were():
    """Results in git come from these draws."""
    torch.manual_seed(0)
    mask = dropout_mask(torch.zeros(7, 45, 45), 0.1)
    assert mask.double().sum().item() == pytest.approx(14151.207, abs=0.01)
    assert (mask.flatten()[:16] == 0).nonzero().flatten().tolist() == [1, 3, 15]


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


def test_every_dropout_of_a_model_is_replaced(tiny_encoder):
    model = load_classifier(tiny_encoder, ["a", "b"], 0, 0).model
    use_cpu_dropout(model)
    assert len([module for module in model.modules() if isinstance(module, CpuDropout)]) == 1 + 4 * 3 + 1
    assert not [module for module in model.modules() if type(module) is nn.Dropout]
    assert model.config._attn_implementation == ATTENTION


@pytest.fixture
def layer() -> nn.Module:
    """What attention asks of its caller."""
    return nn.Module().train()


def attention_inputs(mask: str) -> tuple:
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, 5, 4, requires_grad=True) for _ in range(3))
    seen = torch.arange(5) < torch.tensor([5, 3, 4]).reshape(3, 1, 1, 1)
    masks = {
        "none": None,
        "bool": seen.expand(3, 1, 5, 5),
        "float": torch.where(seen, 0.5, -torch.inf).expand(3, 1, 5, 5),
    }
    return query, key, value, masks[mask]


@pytest.mark.parametrize("mask", ["none", "bool", "float"])
def test_attention_that_drops_next_to_nothing_is_torchs(layer, mask):
    """At p = 1e-9, which rounds to no dropped element, and to a scale of 1."""
    query, key, value, seen = attention_inputs(mask)
    mixed, _ = attention(layer, query, key, value, seen, dropout=1e-9, scaling=0.5)
    expected = nn.functional.scaled_dot_product_attention(query, key, value, seen, scale=0.5).transpose(1, 2)
    assert torch.allclose(mixed, expected, atol=1e-6)


def test_attention_drops_weights_and_keeps_their_mean(layer):
    """With values of 1 an output is the sum of the weights that are left: 1 in the mean over 20,000 draws.

    The draws are the rows of one batch.
    """
    query, key, _, seen = (values.detach().repeat(20000, 1, 1, 1) for values in attention_inputs("bool"))
    torch.manual_seed(1)
    sums = attention(layer, query, key, torch.ones_like(key), seen, dropout=0.5)[0][..., 0].unflatten(0, (20000, 3))
    assert torch.allclose(sums.mean(dim=0), torch.ones(3, 5, 2), atol=0.03)
    assert sums.std(dim=0).min() > 0.2


def test_attention_in_evaluation_is_torchs_to_the_bit(tiny_encoder):
    tokenizer = load_tokenizer(tiny_encoder)
    inputs = encode([("good film",), ("a bad plot and a poor story",)], tokenizer, 16).batch(torch.arange(2))
    model = load_classifier(tiny_encoder, ["a", "b"], 0, 0).eval()
    expected = model(**inputs).logits
    use_cpu_dropout(model.model)
    assert torch.equal(model(**inputs).logits, expected)


def test_a_decoder_keeps_its_causal_attention(tiny_decoder):
    """The first token's state must not depend on the second, in training neither."""
    model = load_classifier(tiny_decoder, ["a", "b"], 3, 0).model
    use_cpu_dropout(model)
    model.train()
    states = []
    for second in (20, 21):
        torch.manual_seed(0)
        ids = torch.tensor([[10, second]])
        states.append(model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state)
    assert torch.equal(states[0][0, 0], states[1][0, 0])
    assert not torch.equal(states[0][0, 1], states[1][0, 1])
