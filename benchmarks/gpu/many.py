"""Small runs side by side on one GPU: runs of MiniLM's shape per minute, by the number of workers.

A worker is a process that imports once and trains one run after another, like a worker of `stages.pool`. With NVIDIA's
MPS, if it is installed, kernels of several processes run at the same time. Without it they take turns.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.made import made_task, minilm, run_settings, save_model, tiny_minilm
from benchmarks.processes import contenders
from src.core.training.run import run_training
from src.parallel.slots import MPS, mps
from src.params import ModelSource
from src.runs import RunName
from src.system.errors import UserError

WORKERS = (1, 2, 4, 8, 16)
ROUNDS = 2


def measure(root: Path, tiny: bool) -> Iterator[dict[str, Any]]:
    """Runs per minute by number of workers, and with MPS if it is installed."""
    root = root.resolve()
    config = tiny_minilm() if tiny else minilm()
    source = save_model(config, root / "model")
    workers = (1, 2) if tiny else WORKERS
    if shutil.which(MPS) and torch.cuda.is_available():  # first, because studies run so
        try:
            with mps():
                yield from _rates(root / "mps", source, workers[-1:], tiny, "with MPS, ")
        except (UserError, RuntimeError) as error:
            yield {"with MPS, failed": str(error)}
    yield from _rates(root / "plain", source, workers, tiny)


def _rates(
    root: Path, source: ModelSource, counts: tuple[int, ...], tiny: bool, name: str = ""
) -> Iterator[dict[str, float]]:
    starts = {str(number): (_trainer, root / str(number), source, tiny) for number in range(max(counts))}
    with contenders(starts, gpu=True) as measures:
        _runs_a_minute(list(measures.values()), 1)
        for count in counts:
            rate = _runs_a_minute(list(measures.values())[:count], ROUNDS)
            yield {f"{name}{count} workers, runs a minute": rate}


def _runs_a_minute(measures: list[Callable[[], None]], rounds: int) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(len(measures)) as pool:
        list(pool.map(lambda measure: [measure() for _ in range(rounds)], measures))
    return 60 * rounds * len(measures) / (time.perf_counter() - began)


def _trainer(folder: Path, source: ModelSource, tiny: bool) -> Callable[[], None]:
    folder.mkdir(parents=True)
    os.chdir(folder)
    task = made_task(64 if tiny else 1000, (5, 60), vocabulary=1000, others=200)
    settings = run_settings(source, "tf32", {"epochs": 2 if tiny else 3, "batch_size": 32}, cmi_weight=5.0)
    return lambda: run_training(RunName("made", "teacher", "cmi_min", 0), task, settings)
