"""bf16 on a CPU without instructions for it: products, gradients and recomputed layers equal those of torch."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from src.core.models.classifier import Classifier, load_classifier
from src.core.speed import emulation
from src.core.speed.emulation import PRODUCTS, emulated_products
from src.core.speed.recompute import recompute_activations
from tests.support.training import KINDS, trained_in

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = [(2, 40, 32), (2, 32, 24), (24,)]
OPERATIONS = {
    F.linear: lambda left, right, bias: F.linear(left, right[0].T, bias),
    F.scaled_dot_product_attention: lambda left, right, bias: F.scaled_dot_product_attention(
        left, left, left, scale=0.01
    ),
    Tensor.__matmul__: lambda left, right, bias: left @ right,
    Tensor.matmul: lambda left, right, bias: left.matmul(right),
    torch.matmul: lambda left, right, bias: torch.matmul(left, right),
    torch.bmm: lambda left, right, bias: torch.bmm(left, right),
    torch.addmm: lambda left, right, bias: torch.addmm(bias, left[0], right[0]),
    torch.baddbmm: lambda left, right, bias: torch.baddbmm(bias, left, right),
    torch.einsum: lambda left, right, bias: torch.einsum("bij,bjk->bik", left, right),
}
SUMS = [function for function in OPERATIONS if function is not F.scaled_dot_product_attention]


def emulate(monkeypatch, emulated: bool = True) -> None:
    """Emulate, or leave bf16 to torch, which can compute it on any CPU."""
    monkeypatch.setattr(emulation, "bf16_instructions", lambda: None if emulated else "AMX")


def passed(function, dtype: torch.dtype = torch.bfloat16, enabled: bool = True) -> list[Tensor]:
    """A result under autocast, and its gradients. Inputs are whole numbers up to 9, so sums are exact in any order."""
    draw = torch.Generator().manual_seed(0)
    inputs = [torch.randint(-9, 10, shape, generator=draw).float().requires_grad_() for shape in SHAPES]
    with torch.autocast("cpu", dtype, enabled), emulated_products():
        result = OPERATIONS[function](*inputs)
    result.backward(torch.randint(-9, 10, result.shape, generator=draw).to(result.dtype))
    return [result, *(value.grad for value in inputs if value.grad is not None)]


@pytest.mark.parametrize("function", SUMS, ids=lambda function: function.__name__)
def test_an_emulated_product_and_its_gradients_equal_those_of_torch(monkeypatch, function):
    found = []
    for emulated in (True, False):
        emulate(monkeypatch, emulated)
        found.append(passed(function))
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    assert not torch.equal(found[0][0].float(), passed(function, enabled=False)[0])


def test_every_product_that_is_emulated_is_tested():
    assert set(OPERATIONS) == PRODUCTS


@pytest.mark.parametrize("way", [{"enabled": False}, {"dtype": torch.float16}], ids=["fp32", "fp16"])
@pytest.mark.parametrize("function", OPERATIONS, ids=lambda function: function.__name__)
def test_products_in_other_precisions_stay_as_they_are(monkeypatch, function, way):
    found = []
    for emulated in (True, False):
        emulate(monkeypatch, emulated)
        found.append(passed(function, **way))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_emulated_attention_differs_from_that_of_torch_by_a_rounding_at_most(monkeypatch):
    """torch also rounds the weights of attention. bf16 has eight bits."""
    found = []
    for emulated in (True, False):
        emulate(monkeypatch, emulated)
        found.append(passed(F.scaled_dot_product_attention))
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).norm() < 2**-7 * other.norm()


@pytest.mark.parametrize("name", KINDS)
def test_layers_computed_again_are_emulated_again(monkeypatch, name, request):
    emulate(monkeypatch)
    source = request.getfixturevalue(name)
    kept = trained_in(source, "bf16")[1].history
    monkeypatch.setattr("tests.support.training.load_classifier", recomputing)
    assert trained_in(source, "bf16")[1].history == kept
    emulate(monkeypatch, emulated=False)
    assert trained_in(source, "bf16")[1].history != kept


def recomputing(*arguments) -> Classifier:
    """`load_classifier`, with layers that are computed again in the backward pass."""
    model = load_classifier(*arguments)
    recompute_activations(arguments[0], model.model)
    return model
