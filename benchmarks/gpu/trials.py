"""Ideas that may make a training step on a GPU faster, each by itself: BERT-base's shape, 128 tokens per row, bf16.

| idea | change |
|---|---|
| one graph | loss, clipping and AdamW are in one CUDA graph with both passes |
| flat | one graph, and weights of linear layers are cast by one kernel a step (`benchmarks.gpu.flat`) |
| compiled | one graph of layers that `torch.compile` has joined |
| flat, compiled | both |

Timed: steps of `cmi_min` on one batch that is on the GPU already, over the same steps with `runtime.cuda_graphs`. The
centroids of a captured loss stay as they were at its capture, so a graph of the whole step would need them in place.
Without a GPU nothing is captured.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.flat import FlatWeights
from benchmarks.gpu.made import base, made_task, minilm, run_settings, save_model
from benchmarks.gpu.speed import TOKENS, operations_per_row, peak_rate, torch_device
from benchmarks.ours import Enough, now, ready, real_step, train_with
from src.core.training.loop import Phase
from src.data.prepared import PreparedTask
from src.params import RunSettings

IDEAS = {"one graph": (), "flat": ("flat",), "compiled": ("compiled",), "flat, compiled": ("flat", "compiled")}
BATCHES = {32: 60, 128: 20}  # steps of each batch size
WARM_UP = 3
Step = Callable[[], None]


def measure(root: Path, tiny: bool) -> Iterator[dict[str, Any]]:
    """Rows per second of each idea, its gain, and the share of the matrix peak, by batch size."""
    config = minilm(layers=2, hidden_size=96, vocab_size=1000) if tiny else base()
    source, peak = save_model(config, root.resolve() / "model"), peak_rate(torch_device())
    for batch, steps in ({4: 2} if tiny else BATCHES).items():
        settings = run_settings(source, "bf16", {"batch_size": batch, "max_length": TOKENS}, cmi_weight=5.0)
        task = made_task(2 * batch, (TOKENS, TOKENS), config.vocab_size, others=8)
        graphs = replace(settings, runtime=settings.runtime.model_copy(update={"cuda_graphs": not tiny}))
        before, operations = rate(task, graphs, steps, lambda phase, rows: lambda: real_step(phase, rows))
        yield {f"batch {batch}, as it is, rows/s": before}
        for name, parts in IDEAS.items():
            try:
                found, operations = rate(
                    task, settings, steps, lambda phase, rows, parts=parts: idea(phase, rows, parts)
                )
            except RuntimeError as error:
                yield {f"batch {batch}, {name}, failed": str(error)[-500:]}
                continue
            yield {
                f"batch {batch}, {name}, rows/s": found,
                f"batch {batch}, {name} / as it is": found / before,
                f"batch {batch}, {name}, % of the matrix peak": 100 * found * operations / peak,
            }


def rate(
    task: PreparedTask, settings: RunSettings, steps: int, make: Callable[[Phase, Tensor], Step]
) -> tuple[float, float]:
    """Rows per second of a step that is made from a real phase and its first batch, and the operations per row."""
    run, found = ready(task, settings), []

    def only_step(phase: Phase, rows: Tensor) -> None:
        step = make(phase, rows)
        for _ in range(WARM_UP):
            step()
        began = now()
        for _ in range(steps):
            step()
        found.append(steps * len(rows) / (now() - began))
        raise Enough

    train_with(only_step, run)
    return found[0], operations_per_row(run)


def idea(phase: Phase, rows: Tensor, parts: tuple[str, ...]) -> Step:
    """A whole step on a batch that stays on the device, captured if that is a GPU."""
    model, device = phase.optimisation.model, phase.accelerator.device
    inputs, batch = phase.data.train.batch(rows, 0, 1, 0.0, device)
    if "compiled" in parts:
        for layer in phase.model.model.base_model.get_submodule("encoder.layer").children():
            layer.compile(backend="inductor" if device.type == "cuda" else "eager")
    update = updates(phase, flat="flat" in parts)

    def step() -> None:
        phase.objective(model(**inputs), batch).total.backward()
        update()

    return captured(step) if device.type == "cuda" else step


def updates(phase: Phase, flat: bool) -> Step:
    """Clipping and AdamW, as in `Optimisation.step` without its schedule, or over flat weights."""
    groups, most = phase.optimisation.optimizer.param_groups, phase.settings.max_grad_norm
    on_gpu = phase.accelerator.device.type == "cuda"
    lr = torch.tensor(phase.settings.lr, device=phase.accelerator.device) if on_gpu else phase.settings.lr
    if flat:
        return FlatWeights(phase.model.model, groups, lr, most).step
    own = [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in groups]
    optimizer = torch.optim.AdamW(own, lr=lr, fused=True, capturable=on_gpu)

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(phase.model.parameters(), most)
        optimizer.step()
        optimizer.zero_grad()

    return update


def captured(step: Step) -> Step:
    """A function that replays a step from one CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
