"""Changes that may make a training step on a GPU faster: BERT-base's shape, 128 tokens per row, bf16.

| name | change | compared with |
|---|---|---|
| one graph | loss, clipping and AdamW are in one CUDA graph with both passes | two graphs |
| flat | two kernels cast the encoder's linear weights in a step (`benchmarks.gpu.flat`) | one graph |
| compiled | `torch.compile` fuses the operations of each layer | one graph |
| flat, compiled | both | one graph |

"Two graphs" is `runtime.cuda_graphs`. Timed: training steps with the CMI term on one batch that stays on the GPU,
without the rest of the training loop. Every replay starts from the same centroids. Real training in one graph would
have to update them in place. Without a GPU nothing is captured or fused.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.captured import Step, adamw, captured, rate_of
from benchmarks.gpu.flat import FlatWeights
from benchmarks.gpu.made import base, made_task, run_settings, save_model, tiny_minilm
from benchmarks.gpu.speed import BATCHES, TOKENS, operations_per_row, peak_rate
from benchmarks.ours import Enough, Ready, ready, train_with
from benchmarks.processes import contenders, in_turns, ratios
from src.core.training.loop import Phase
from src.data.prepared import PreparedTask
from src.params import RunSettings

BEFORE = {"one graph": "two graphs", "flat": "one graph", "compiled": "one graph", "flat, compiled": "one graph"}
ROUNDS = 3


def measure(root: Path, tiny: bool) -> Iterator[dict[str, Any]]:
    """Rows per second of each idea, its gain, and the share of the matrix peak, by batch size."""
    config = tiny_minilm() if tiny else base()
    source = save_model(config, root.resolve() / "model")
    for batch, steps in ({4: 2} if tiny else BATCHES).items():
        settings = run_settings(source, "bf16", {"batch_size": batch, "max_length": TOKENS}, cmi_weight=5.0)
        task = made_task(2 * batch, (TOKENS, TOKENS), config.vocab_size, others=8)
        for name, other in BEFORE.items():
            starts = {one: (step_rate, task, settings, one, steps) for one in (name, other)}
            try:
                with contenders(starts, gpu=True) as measures:
                    found = in_turns(measures, ROUNDS)
            except RuntimeError as error:
                yield {f"batch {batch}, {name}, failed": str(error)}
                continue
            (rates, shares), (others, _) = (list(zip(*found[one], strict=True)) for one in (name, other))
            gains = ratios(list(rates), list(others))
            yield {
                f"batch {batch}, {name}, rows/s": median(rates),
                f"batch {batch}, {name} / {other}": median(gains),
                f"batch {batch}, {name} / {other}, range": [min(gains), max(gains)],
                f"batch {batch}, {name}, % of the matrix peak": median(100 * share for share in shares),
            }


def step_rate(task: PreparedTask, settings: RunSettings, name: str, steps: int) -> Callable[[], tuple[float, float]]:
    """A function that measures a step: rows per second, and the share of the peak that its products reach."""
    if name == "two graphs":
        on_gpu = torch.cuda.is_available()
        settings = replace(settings, runtime=settings.runtime.model_copy(update={"cuda_graphs": on_gpu}))
    run = ready(task, settings)
    phase, rows = first_batch(run)
    steps_per_second = rate_of(step_of(phase, rows, name), steps)

    def measured() -> tuple[float, float]:
        rate = len(rows) * steps_per_second()
        return rate, rate * operations_per_row(run) / peak_rate(run.accelerator.device)

    return measured


def first_batch(run: Ready) -> tuple[Phase, Tensor]:
    """The phase of a run at its first step, and the numbers of that step's rows."""
    found = []

    def stop(phase: Phase, rows: Tensor) -> None:
        found.append((phase, rows))
        raise Enough

    train_with(stop, run)
    return found[0]


def step_of(phase: Phase, rows: Tensor, name: str) -> Step:
    """A step on one batch, captured unless its passes are two graphs."""
    model, device = phase.optimisation.model.train(), phase.accelerator.device
    inputs, batch = phase.data.train.batch(rows, 0, 1, 0.0, device)
    # transformers drops a mask without padding, but not in a capture. Padding gives all changes the same attention.
    inputs["attention_mask"][:, -1] = 0
    if "compiled" in name:
        compile_layers(phase, on_gpu=device.type == "cuda")
    update = update_of(phase, name)

    def step() -> None:
        phase.objective(model(**inputs), batch).total.backward()
        update()

    return step if name == "two graphs" else captured(step, phase.objective.state_dict)


def compile_layers(phase: Phase, on_gpu: bool) -> None:
    """Compile each layer. What cannot be compiled is an error on a GPU, or such a layer would run uncompiled there."""
    options = {"backend": "inductor", "fullgraph": True} if on_gpu else {"backend": "eager"}
    for layer in phase.model.model.base_model.get_submodule("encoder.layer").children():
        layer.compile(**options, dynamic=False)


def update_of(phase: Phase, name: str) -> Step:
    """Clipping and AdamW: the run's own, one that can be captured, or one over flat weights."""
    optimisation, device = phase.optimisation, phase.accelerator.device
    if name == "two graphs":
        return lambda: optimisation.step(phase.accelerator)
    groups, lr, most = optimisation.optimizer.param_groups, phase.settings.lr, phase.settings.max_grad_norm
    if "flat" in name:
        return FlatWeights(phase.model.model, groups, lr, most).step
    own = [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in groups]
    optimizer = adamw(own, lr, device)

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(phase.model.parameters(), most)
        optimizer.step()
        optimizer.zero_grad()

    return update
