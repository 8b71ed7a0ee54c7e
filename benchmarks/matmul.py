"""The share of a training step that its matrix multiplications would take alone.

Timed alone: torch.mm and torch.bmm on the very shapes of one epoch's batches, padded as they are: the forward and
both backward products of every linear layer, and the six of attention. Their operands exist already and their outputs
go into given memory, so this is the least that the products can take on these threads. Not counted: what a fused
attention kernel computes twice. Beside it: our steps on the same batches, in the same process, in turns.
"""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.figures import Figure, median_figure
from benchmarks.ours import Ready, ready, timed_steps, warmed_up
from benchmarks.processes import contenders, in_turns
from benchmarks.scratch import Setting, first_rows, prepared
from src.data.prepared import PreparedTask
from src.params import RunSettings

SHARE = 65.0
Product = tuple[Callable[..., Tensor], Tensor, Tensor, Tensor]


def figures(setting: Setting) -> list[Figure]:
    """vader-movie, teacher."""
    settings = setting.params.teacher("vader-movie", "ce")
    task = first_rows(prepared(setting, "vader-movie"), setting.steps * settings.training.batch_size)
    with contenders({"share": (share_of_step, task, settings)}) as measures:
        rounds = in_turns(measures, setting.repeats)["share"]
    return [median_figure("matrix products alone / our step, vader-movie", rounds, "%", at_least=SHARE)]


def share_of_step(task: PreparedTask, settings: RunSettings) -> Callable[[], float]:
    """What measures the share, in percent: one epoch of steps, then the products of its batches."""
    run = warmed_up(ready(task, settings))
    products_seconds(run, [torch.arange(settings.training.batch_size)])  # warms their kernels up

    def measure() -> float:
        timed = timed_steps(run, len(task.train))
        return 100 * products_seconds(run, timed.batches) / timed.seconds

    return measure


def products_seconds(run: Ready, batches: list[Tensor]) -> float:
    """The seconds that the products of some batches take alone; operands are made between, untimed."""
    tokens, seconds = run.loaded.data.train.tokens, 0.0
    for rows in batches:
        length = int(tokens.lengths[rows].max())
        products = list(products_of_batch(run, len(rows), length))
        began = time.perf_counter()
        for multiply, left, right, out in products:
            multiply(left, right, out=out)
        seconds += time.perf_counter() - began
    return seconds


def products_of_batch(run: Ready, rows: int, length: int) -> Iterator[Product]:
    """Every product of one step on a batch of that shape. Each layer has operands of its own, as in the model."""
    inputs = run.loaded.data.train.tokens.batch(torch.zeros(rows, dtype=torch.long))
    model = run.loaded.model
    for shape, module in linear_inputs(model, inputs, length):
        yield from linear_products(shape, module)
    config = model.model.config
    heads, width = rows * config.num_attention_heads, config.hidden_size // config.num_attention_heads
    for layer in range(config.num_hidden_layers):
        queries = 1 if layer == config.num_hidden_layers - 1 else length  # the last layer: see `first_token`
        yield from attention_products(heads, queries, length, width)


def linear_inputs(model: nn.Module, inputs: dict[str, Tensor], length: int) -> list[tuple[int, nn.Linear]]:
    """Each linear layer with the number of vectors that enter it for a batch of that many rows and that length.

    Found by a forward pass of one row, since layers that see the first token alone get one vector a row, others one a
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


def linear_products(vectors: int, module: nn.Linear) -> Iterator[Product]:
    """y = x W', and from y's gradient g those of x and W: g W and g' x."""
    x, g = torch.randn(vectors, module.in_features), torch.randn(vectors, module.out_features)
    weight = torch.randn(module.out_features, module.in_features)
    yield torch.mm, x, weight.T, torch.empty_like(g)
    yield torch.mm, g, weight, torch.empty_like(x)
    yield torch.mm, g.T, x, torch.empty_like(weight)


def attention_products(heads: int, queries: int, length: int, width: int) -> Iterator[Product]:
    """s = q k' and o = p v; from o's gradient those of v and p, then from s's those of q and k."""
    q, of_o = (torch.randn(heads, queries, width) for _ in range(2))
    k, v = (torch.randn(heads, length, width) for _ in range(2))
    p, of_s = (torch.randn(heads, queries, length) for _ in range(2))
    yield torch.bmm, q, k.mT, torch.empty_like(p)
    yield torch.bmm, p, v, torch.empty_like(q)
    yield torch.bmm, p.mT, of_o, torch.empty_like(v)
    yield torch.bmm, of_o, v.mT, torch.empty_like(p)
    yield torch.bmm, of_s, k, torch.empty_like(q)
    yield torch.bmm, of_s.mT, q, torch.empty_like(k)
