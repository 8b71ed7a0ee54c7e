"""The time and memory of a run. They are no results: `timing/` is outside git."""

import resource
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from accelerate import Accelerator

from src.core.training.phases import TrainingResult
from src.runs import TIMING_FOLDER, RunName
from src.system.files import write_json


class Memory(NamedTuple):
    """The largest memory of the process, on the GPU if it uses one, and the memory of its weights (10^9 bytes).

    For a Mac's GPU, the first number is the memory at the end, including the cache of freed memory.
    """

    peak_gb: float
    weights_gb: float


def memory_taken(model: torch.nn.Module, accelerator: Accelerator) -> Memory:
    """The memory of this process so far. The weights count in their types during training."""
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    if accelerator.device.type == "cuda":
        return Memory(torch.cuda.max_memory_allocated() / 1e9, weights / 1e9)
    if accelerator.device.type == "mps":
        return Memory(torch.mps.driver_allocated_memory() / 1e9, weights / 1e9)
    unit = 1 if sys.platform == "darwin" else 1024
    return Memory(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, weights / 1e9)


def write_timing(
    run: RunName, result: TrainingResult, train_rows: int, seconds: dict[str, float], memory: Memory
) -> None:
    """Write the seconds of a run's parts, its train rows per second and its memory.

    A run that resumed counts only the time and rows since its checkpoint. The rate includes the evaluation after each
    epoch, and counts epochs of the head, which need no pass of the backbone, as full epochs.
    """
    rows = train_rows * len(result.history) * (1 - result.resumed_at / result.steps)
    rate = {"rows_per_second": rows / seconds["train_seconds"]}
    content = {name: round(value, 3) for name, value in (seconds | rate | memory._asdict()).items()}
    write_json(run.folder(TIMING_FOLDER).with_suffix(".json"), content | {"resumed_at_step": result.resumed_at})


def stopwatch() -> Callable[[], float]:
    """A function that returns the seconds since its last call, or since it was made."""
    times = [time.perf_counter()]

    def lap() -> float:
        times.append(time.perf_counter())
        return times[-1] - times[-2]

    return lap
