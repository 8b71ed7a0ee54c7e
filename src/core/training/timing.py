"""What a run cost, in seconds and memory. It is no result: `timing/` lies outside git."""

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
    """In units of 10^9 bytes: the most that the process has held at a time, on the GPU if it uses one; weights.

    Of a Mac's GPU it is what the process holds at the end, the cache of freed memory among it.
    """

    peak_gb: float
    weights_gb: float


def memory_taken(model: torch.nn.Module, accelerator: Accelerator) -> Memory:
    """What this process has taken so far, weights of the model as they are held in training among it."""
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
    """Seconds of a run's parts, and train rows a second; of what was done since a checkpoint, where it resumed.

    The rate has the evaluation after each epoch in it, and epochs of the head alone, which cost no pass, as epochs.
    """
    rows = train_rows * len(result.history) * (1 - result.resumed_at / result.steps)
    rate = {"rows_per_second": rows / seconds["train_seconds"]}
    content = {name: round(value, 3) for name, value in (seconds | rate | memory._asdict()).items()}
    write_json(run.folder(TIMING_FOLDER).with_suffix(".json"), content | {"resumed_at_step": result.resumed_at})


def stopwatch() -> Callable[[], float]:
    """A stopwatch: each call gives the seconds since the one before."""
    times = [time.perf_counter()]

    def lap() -> float:
        times.append(time.perf_counter())
        return times[-1] - times[-2]

    return lap
