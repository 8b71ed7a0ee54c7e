"""The share of a training step that its matrix multiplications take if they run alone.

Timed alone: torch.mm and torch.bmm on the exact shapes of one epoch's padded batches. These are the forward and both
backward products of every linear layer, and the six products of attention. Operands and memory for outputs exist
already, so this is the least time that the products can take on these threads. In bf16 the operands are already bf16.
Products that a fused attention kernel computes twice count once. Our steps on the same batches are timed in turns in
the same process. A second figure is the rate of products in our steps, over the rate of one large product.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from benchmarks.figures import Figure, median_figure, skipped
from benchmarks.ours import Ready, ready, timed_steps, warmed_up
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting, teacher_of
from benchmarks.variants import MINILM, MINILM_BF16, MPNET, MPNET_BF16, NO_BF16, Variant, in_turn
from src.core.machine.device import precision_of
from src.core.speed.instructions import bf16_instructions
from src.data.prepared import PreparedTask
from src.params import Precision, RunSettings

OWN = (MINILM, MINILM_BF16, MPNET, MPNET_BF16)
SHARES = {MINILM: 65.0, MPNET_BF16: 50.0}
SIZE = 2048, 768, 3072
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
Product = tuple[Callable[..., Tensor], Tensor, Tensor, Tensor]


def figures(setting: Setting) -> list[Figure]:
    """The shares of vader-movie's teacher in each variant, and the machine's rates."""
    name = "matrix products alone / our step, vader-movie"
    return in_turn(name, setting.variants(OWN), partial(share_figures, setting, name)) + machine_rates(setting)


def share_figures(setting: Setting, name: str, variant: Variant) -> list[Figure]:
    """The share in one variant."""
    task, settings = teacher_of(setting, variant)
    with contenders({"shares": (shares_of_step, task, settings)}) as measures:
        share, rate = zip(*in_turns(measures, setting.repeats)["shares"], strict=True)
    goal = SHARES.get(variant)
    return [
        median_figure(f"{name}{variant}", share, "%", at_least=goal, note=variant.note if goal else ""),
        median_figure(f"rate of our step's products / a large product's{variant}", rate, "%"),
    ]


def machine_rates(setting: Setting) -> list[Figure]:
    """The rate of one large product in each precision, and the ratio of bf16 to fp32."""
    name, threads = f"a product of {' x '.join(map(str, SIZE))}", setting.params.runtime.threads
    if not (instructions := bf16_instructions()):
        return [skipped(f"{name}: bf16 / fp32", "x", NO_BF16)]
    with contenders({precision: (product_rate, precision, threads) for precision in DTYPES}) as measures:
        rates = in_turns(measures, setting.repeats)
    return [
        *(median_figure(f"{name}: {precision}", found, "GFLOP/s") for precision, found in rates.items()),
        median_figure(f"{name}: bf16 / fp32", ratios(rates["bf16"], rates["fp32"]), "x", note=instructions),
    ]


def product_rate(precision: Precision, threads: int | None, times: int = 20) -> Callable[[], float]:
    """A function that measures the rate of a layer of width 768's product, in 10^9 operations per second."""
    if threads is not None:
        torch.set_num_threads(threads)
    rows, inner, columns = SIZE
    left, right = (torch.randn(shape, dtype=DTYPES[precision]) for shape in ((rows, inner), (inner, columns)))

    def measure() -> float:
        left @ right  # warms its kernel up
        began = time.perf_counter()
        for _ in range(times):
            left @ right
        return 2 * rows * inner * columns * times / (time.perf_counter() - began) / 1e9

    return measure


def shares_of_step(task: PreparedTask, settings: RunSettings) -> Callable[[], tuple[float, float]]:
    """A function that measures two shares in percent.

    The first is the time of the steps' products alone, over the time of the steps. The second is the rate of these
    products in the steps, over the rate of a large product.
    """
    run, precision = warmed_up(ready(task, settings)), precision_of(settings.runtime)
    alone([torch.arange(settings.training.batch_size)], run)  # warms their kernels up
    peak = product_rate(precision, settings.runtime.threads)

    def measure() -> tuple[float, float]:
        timed = timed_steps(run, len(task.train))
        products = alone(timed.batches, run)
        return 100 * products.seconds / timed.seconds, 100 * products.operations / timed.seconds / (1e9 * peak())

    return measure


@dataclass
class Alone:
    """The seconds and floating-point operations of products alone."""

    seconds: float = 0.0
    operations: float = 0.0


def alone(batches: list[Tensor], run: Ready) -> Alone:
    """Time the products of batches alone. Operands are made outside the timed parts."""
    tokens, taken = run.loaded.data.train.tokens, Alone()
    dtype = DTYPES[precision_of(run.settings.runtime)]
    for rows in batches:
        length = int(tokens.lengths[rows].max())
        products = [in_precision(product, dtype) for product in products_of_batch(run, len(rows), length)]
        began = time.perf_counter()
        for multiply, left, right, out in products:
            multiply(left, right, out=out)
        taken.seconds += time.perf_counter() - began
        taken.operations += sum(2 * left.numel() * out.shape[-1] for _, left, _, out in products)
    return taken


def in_precision(product: Product, dtype: torch.dtype) -> Product:
    """A product whose operands and output have another type and the same order in memory."""
    multiply, *tensors = product
    left, right, out = (tensor.to(dtype) for tensor in tensors)
    return multiply, left, right, out


def products_of_batch(run: Ready, rows: int, length: int) -> Iterator[Product]:
    """Every product of one step on a batch of this shape. Each layer has its own operands, as in the model."""
    inputs = run.loaded.data.train.tokens.batch(torch.zeros(rows, dtype=torch.long))
    model = run.loaded.model
    for shape, module in linear_inputs(model, inputs, length):
        yield from linear_products(shape, module)
    config = model.model.config
    heads, width = rows * config.num_attention_heads, config.hidden_size // config.num_attention_heads
    for _ in range(config.num_hidden_layers - 1):
        yield from attention_products(heads, length, length, width)
    queries = 1 if last_layer_is_of_first_token(model.model, inputs) else length
    yield from attention_products(heads, queries, length, width)


def linear_inputs(model: nn.Module, inputs: dict[str, Tensor], length: int) -> list[tuple[int, nn.Linear]]:
    """Each linear layer, and the number of vectors that enter it for a batch with these rows and this length.

    A forward pass of one row finds it: layers that see only the first token get one vector per row, others one per
    token.
    """
    found: list[tuple[int, nn.Linear]] = []
    rows, one = len(inputs["input_ids"]), {name: values[:1] for name, values in inputs.items()}

    def note(module: nn.Linear, arguments: tuple[Tensor, ...]) -> None:
        is_first_token = arguments[0].numel() == module.in_features
        found.append((rows if is_first_token else rows * length, module))

    hooks = [part.register_forward_pre_hook(note) for part in model.modules() if isinstance(part, nn.Linear)]
    with torch.no_grad():
        model(**one)
    for hook in hooks:
        hook.remove()
    return found


def last_layer_is_of_first_token(model: PreTrainedModel, inputs: dict[str, Tensor]) -> bool:
    """Whether the last layer computes only the first token's hidden state (`src.core.speed.first_token`)."""
    with torch.no_grad():
        hidden = model.base_model(**{name: values[:1] for name, values in inputs.items()}).last_hidden_state
    return hidden.shape[1] == 1


def linear_products(vectors: int, module: nn.Linear) -> Iterator[Product]:
    """The products y = x W', and from y's gradient g the gradients of x and W: g W and g' x."""
    x, g = torch.randn(vectors, module.in_features), torch.randn(vectors, module.out_features)
    weight = torch.randn(module.out_features, module.in_features)
    yield torch.mm, x, weight.T, torch.empty_like(g)
    yield torch.mm, g, weight, torch.empty_like(x)
    yield torch.mm, g.T, x, torch.empty_like(weight)


def attention_products(heads: int, queries: int, length: int, width: int) -> Iterator[Product]:
    """The products s = q k' and o = p v, and those for the gradients of v and p (from o) and of q and k (from s)."""
    q, of_o = (torch.randn(heads, queries, width) for _ in range(2))
    k, v = (torch.randn(heads, length, width) for _ in range(2))
    p, of_s = (torch.randn(heads, queries, length) for _ in range(2))
    yield torch.bmm, q, k.mT, torch.empty_like(p)
    yield torch.bmm, p, v, torch.empty_like(q)
    yield torch.bmm, p.mT, of_o, torch.empty_like(v)
    yield torch.bmm, of_o, v.mT, torch.empty_like(p)
    yield torch.bmm, of_s, k, torch.empty_like(q)
    yield torch.bmm, of_s.mT, q, torch.empty_like(k)
