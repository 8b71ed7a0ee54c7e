"""Training rows per second against Trainer and the matrix peak: BERT-base's shape, 128 tokens per row, bf16.

Timed: training steps, as in `benchmarks.ours.timed_steps`, with the clock read when the GPU is done. The model-FLOP
utilisation is the rate of the floating-point operations in a step's products, over the rate of a large bf16 product
measured beside it. Backward products count twice the forward ones, and recomputed products do not count. Trainer has
its best options on the same rows. Ours is also timed with `runtime.cuda_graphs` ("graphs"), and both are also timed
under `torch.compile`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.gpu.made import base, made_task, run_settings, save_model, tiny_minilm
from benchmarks.ours import Ready, epoch_rate, now, ready, warmed_up
from benchmarks.peers import trainer_rate
from benchmarks.processes import contenders, in_turns, ratios
from src.data.prepared import PreparedTask
from src.params import RunSettings

TOKENS, PEAK_SIZE = 128, 8192
BATCHES = {32: 60, 128: 20}  # steps of each batch size
ROUNDS = 3


def measure(root: Path, tiny: bool) -> Iterator[dict[str, Any]]:
    """Rows per second of each contender, and their ratios, by batch size."""
    root = root.resolve()
    config = tiny_minilm() if tiny else base()
    source = save_model(config, root / "model")
    yield {"matrix product, TFLOP/s": peak_rate(torch_device()) / 1e12}
    jobs = {}
    for batch, steps in ({4: 4} if tiny else BATCHES).items():
        settings = run_settings(source, "bf16", {"batch_size": batch, "max_length": TOKENS})
        jobs[batch] = made_task(batch * steps, (TOKENS, TOKENS), config.vocab_size, others=8), settings
    for compiled in (False, True):
        for batch, (task, settings) in jobs.items():
            found = _compared(task, settings, compiled)
            yield {f"batch {batch}{', compiled' if compiled else ''}, {name}": value for name, value in found.items()}


def _compared(task: PreparedTask, settings: RunSettings, compiled: bool) -> dict[str, Any]:
    """Rates and their ratios. If a contender breaks, as compiled ones may, the result has its error instead."""
    options = {"torch_compile": compiled}
    starts = {"ours": (our_rate, task, settings, compiled), "Trainer": (trainer_rate, task, settings, True, options)}
    if not compiled:
        graphs = replace(settings, runtime=settings.runtime.model_copy(update={"cuda_graphs": True}))
        starts["graphs"] = (our_rate, task, graphs)
    try:
        with contenders(starts, gpu=True) as measures:
            found = in_turns(measures, ROUNDS)
    except RuntimeError as error:
        return {"failed": str(error)}
    result = {"Trainer, rows/s": median(trainer := found.pop("Trainer"))}
    for name, measured in found.items():
        rates, shares = zip(*measured, strict=True)
        result[f"{name}, rows/s"] = median(rates)
        result[f"{name} / Trainer"] = median(of_rounds := ratios(list(rates), trainer))
        result[f"{name} / Trainer, range"] = [min(of_rounds), max(of_rounds)]
        result[f"{name}, % of the matrix peak"] = median(100 * share for share in shares)
    return result


def our_rate(task: PreparedTask, settings: RunSettings, compiled: bool = False) -> Callable[[], tuple[float, float]]:
    """A function that measures ours: rows per second, and the share of the peak that its products reach."""
    run = ready(task, settings)
    if compiled:
        run.loaded.model.model.compile()
    warmed_up(run)

    def measured() -> tuple[float, float]:
        rate = epoch_rate(run)
        return rate, rate * operations_per_row(run) / peak_rate(run.accelerator.device)

    return measured


def operations_per_row(run: Ready) -> float:
    """Floating-point operations in the products of one row's step: encoder layers and attention, without the head.

    The last layer counts as `first_token` computes it: keys and values for all tokens, the rest for one.
    """
    config = run.loaded.model.model.config
    width, inner = config.hidden_size, config.intermediate_size
    keys_and_values, rest = 2 * width * width, 2 * width * width + 2 * width * inner
    whole = TOKENS * (keys_and_values + rest) + 2 * TOKENS * TOKENS * width
    last = TOKENS * keys_and_values + rest + 2 * TOKENS * width
    return 3 * 2 * ((config.num_hidden_layers - 1) * whole + last)


def peak_rate(device: torch.device) -> float:
    """Floating-point operations per second of a large bf16 product."""
    size, times = PEAK_SIZE if device.type == "cuda" else 256, 20
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    began = now()
    for _ in range(times):
        left @ right
    return 2 * size**3 * times / (now() - began)


def torch_device() -> torch.device:
    """The GPU, or the CPU if there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
