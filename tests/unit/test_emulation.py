"""Emulated bf16: products and gradients are torch's up to a rounding, and recomputed layers equal kept ones."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from src.core.models.classifier import load_classifier
from src.core.speed import emulation
from src.core.speed.emulation import PRODUCTS, emulated_products
from src.core.speed.half_precision import round_products
from tests.support.training import KINDS, LABELS, TOKENS, trained_in

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = [(2, 40, 32), (2, 32, 24), (24,)]
ATTENTION = "scaled_dot_product_attention"
OPERATIONS = {
    "linear": lambda left, right, bias: F.linear(left, right[0].T, bias),
    "__matmul__": lambda left, right, bias: left @ right,
    "matmul": lambda left, right, bias: left.matmul(right),
    "mm": lambda left, right, bias: torch.mm(left[0], right[0]),
    "bmm": lambda left, right, bias: left.bmm(right),
    "addmm": lambda left, right, bias: torch.addmm(bias, left[0], right[0]),
    "baddbmm": lambda left, right, bias: bias.expand(2, 40, 24).baddbmm(left, right),
    "einsum": lambda left, right, bias: torch.einsum("bij,bjk->bik", left, right),
    "conv1d": lambda left, right, bias: F.conv1d(left[:1].mT, right[0].T[:, :, None], bias),
    ATTENTION: lambda left, right, bias: F.scaled_dot_product_attention(left, left, left, scale=0.01),
}


def emulate(monkeypatch, emulated: bool = True) -> None:
    """Emulate, or leave bf16 to torch, which can compute it on any CPU."""
    monkeypatch.setattr(emulation, "emulates_bf16", lambda: emulated)


def passed(name: str, dtype: torch.dtype = torch.bfloat16, enabled: bool = True) -> list[Tensor]:
    """A result under autocast, and its gradients. Inputs are whole numbers up to 9, so sums are exact in any order."""
    draw = torch.Generator().manual_seed(0)
    inputs = [torch.randint(-9, 10, shape, generator=draw).float().requires_grad_() for shape in SHAPES]
    with torch.autocast("cpu", dtype, enabled), emulated_products():
        result = OPERATIONS[name](*inputs)
    result.backward(torch.randint(-9, 10, result.shape, generator=draw).to(result.dtype))
    return [result, *(value.grad for value in inputs if value.grad is not None)]


def emulated_and_torchs(monkeypatch, name: str, **way) -> list[tuple[Tensor, Tensor]]:
    """A result and its gradients, each emulated and as torch computes it. Their types are equal."""
    emulate(monkeypatch)
    emulated = passed(name, **way)
    emulate(monkeypatch, emulated=False)
    both = list(zip(emulated, passed(name, **way), strict=True))
    assert all(one.dtype == other.dtype for one, other in both)
    return both


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != ATTENTION])
def test_an_emulated_product_and_its_gradients_are_those_of_torch(monkeypatch, name):
    """On a CPU with AVX2 they are equal to the bit. Other CPUs have other products, which may round once more."""
    found = emulated_and_torchs(monkeypatch, name)
    for one, other in found:
        assert torch.equal(one, one.bfloat16().to(one.dtype))
        assert torch.allclose(one, other, rtol=2**-7, atol=0)
    assert not torch.equal(found[0][0].float(), passed(name, enabled=False)[0])


def test_every_product_that_is_emulated_is_tested():
    assert set(OPERATIONS) == PRODUCTS


@pytest.mark.parametrize("way", [{"enabled": False}, {"dtype": torch.float16}], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_products_in_other_precisions_stay_as_they_are(monkeypatch, name, way):
    assert all(torch.equal(one, other) for one, other in emulated_and_torchs(monkeypatch, name, **way))


def test_emulated_attention_differs_from_that_of_torch_by_a_rounding_at_most(monkeypatch):
    """torch also rounds the weights of attention. bf16 has eight bits."""
    for one, other in emulated_and_torchs(monkeypatch, ATTENTION):
        assert (one - other).norm() < 2**-7 * other.norm()


def test_numbers_of_other_types_are_not_rounded(monkeypatch):
    emulate(monkeypatch)
    whole, wide = torch.full((2, 2), 257), torch.full((2, 2), 257.0, dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16), emulated_products():
        for value in (whole, wide):
            assert torch.equal(value @ value, torch.full_like(value, 2 * 257**2))
        torch.matmul(whole, whole, out=(written := torch.empty_like(whole)))
    assert torch.equal(written, whole @ whole)


class HalfProducts(TorchDispatchMode):
    """Names of products that torch computes in bf16."""

    def __init__(self) -> None:
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, operator, types, arguments=(), named=None):
        is_half = any(isinstance(value, Tensor) and value.dtype == torch.bfloat16 for value in arguments)
        name = operator.name().removeprefix("aten::").partition(".")[0]
        if is_half and any(part in name for part in ("mm", "convolution", "attention", "linear", "matmul")):
            self.names.add(name)
        return operator(*arguments, **named or {})


@pytest.mark.parametrize("name", KINDS)
def test_no_product_of_a_model_is_left_to_torch(monkeypatch, name, request):
    emulate(monkeypatch)
    source = request.getfixturevalue(name)
    model = load_classifier(source, LABELS, 0, 0).train()
    round_products(source, model, "bf16", 0)
    with HalfProducts() as products:
        model(**TOKENS).logits.sum().backward()
    assert products.names == set()


@pytest.mark.parametrize("name", KINDS)
def test_layers_computed_again_are_emulated_again(monkeypatch, name, request):
    emulate(monkeypatch)
    source = request.getfixturevalue(name)
    kept = trained_in(source, "bf16")[1].history
    assert trained_in(source, "bf16", recomputed=True)[1].history == kept
    emulate(monkeypatch, emulated=False)
    assert trained_in(source, "bf16", recomputed=True)[1].history != kept
