"""The cost of more rows: rows per second and memory at 1,000, 10,000 and 67,000 train rows.

The data are SST-2 if there is a local copy, or else generated sentences of similar length, prepared by the
project's stage. Timed: the same number of steps at each size. Their batches are spread evenly over the epoch's batches
in order of length, so that all sizes see similar shapes. Memory: the peak of a process that reads the task, loads the
model and takes two steps on rows of median length. The difference from the smallest size is the cost of the rows.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.figures import Figure, median_figure, skipped
from benchmarks.ours import Enough, Phase, Ready, now, ready, real_step, train_with
from benchmarks.processes import contenders, in_turns, ratios
from benchmarks.scratch import Setting, prepared
from src.data.prepared import load_task
from src.params import RunSettings

SIZES = (1_000, 10_000, 67_000)
SLOWER, MEGABYTES = 5.0, 100.0
STATUS = Path("/proc/self/status")
WORDS = [
    f"{start}{middle}{end}" for start in "bdfglmnprst" for middle in ("a", "e", "ee", "o", "oa") for end in "dgklmnprst"
]


@dataclass(frozen=True)
class Measured:
    """Rows per second, seconds to make one batch, and the process's peak memory in bytes (None if unknown)."""

    rate: float
    batch_seconds: float
    peak: int | None


def figures(setting: Setting) -> list[Figure]:
    """Rows per second at each size, the largest loss against the smallest size, and the memory of the rows."""
    settings, source = setting.params.teacher("vader-movie", "ce"), scaling_source(setting)
    starts = {}
    for size in SIZES:
        name = f"scaling-{size}"
        prepared(setting, name, **source | {"max_rows": {"train": size, "selection": 300, "test": 300}})
        starts[f"{size} rows"] = (at_size, setting.root / "data", name, settings, setting.steps)
    with contenders(starts) as measures:
        found = in_turns(measures, setting.repeats)
    rates = {name: [one.rate for one in rounds] for name, rounds in found.items()}
    smallest, *larger = rates
    slowest = [min(values) for values in zip(*(ratios(rates[name], rates[smallest]) for name in larger), strict=True)]
    return [
        *(median_figure(f"scaling: {name}", rounds, "rows/s") for name, rounds in rates.items()),
        *(batch_figure(name, rounds) for name, rounds in found.items()),
        median_figure(
            f"scaling: loss of speed against {smallest}", [100 * (1 - one) for one in slowest], "%", at_most=SLOWER
        ),
        memory_figure(found[smallest][0].peak, found[larger[-1]][0].peak),
    ]


def batch_figure(name: str, rounds: list[Measured]) -> Figure:
    """The figure of the time to make one batch."""
    return median_figure(f"scaling: making one batch, {name}", [1000 * one.batch_seconds for one in rounds], "ms")


def memory_figure(small: int | None, large: int | None) -> Figure:
    """The figure of the difference between two peaks."""
    name = f"scaling: memory of {SIZES[-1]} rows over {SIZES[0]}"
    if small is None or large is None:
        return skipped(name, "MB", "no /proc on this system", at_most=MEGABYTES)
    return Figure(name, (large - small) / 1e6, "MB", at_most=MEGABYTES)


def scaling_source(setting: Setting) -> dict[str, Any]:
    """Task settings of SST-2, or of a folder of generated rows."""
    common = {"source": "folder", "text": ["sentence"], "labels": ["negative", "positive"], "metrics": ["accuracy"]}
    if setting.glue_folder is not None and setting.has_glue("sst2"):
        return common | {"path": str((setting.glue_folder / "sst2").resolve())}
    folder = setting.root / "generated"
    if not folder.is_dir():
        write_generated(folder)
    return common | {"path": str(folder)}


def write_generated(folder: Path) -> None:
    """Sentences of 1 to 40 words, most of them short, whose label is the presence of one of two words."""
    folder.mkdir()
    chance = random.Random(0)
    for split, rows in (("train", SIZES[-1] + 1_000), ("validation", 500)):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for _ in range(rows):
                label = chance.randrange(2)
                words = chance.choices(WORDS, k=min(1 + int(chance.expovariate(1 / 9)), 40))
                sentence = " ".join([*words, ("bad", "good")[label]])
                file.write(json.dumps({"sentence": sentence, "label": label}) + "\n")


def at_size(data: Path, name: str, settings: RunSettings, steps: int) -> Callable[[], Measured]:
    """A function that measures one size. The peak of memory is read before its first call."""
    run = ready(load_task(name, data), settings)
    typical_steps(run, 2)
    peak = peak_memory()

    def measure() -> Measured:
        rows, seconds, batch_seconds = even_steps(run, steps)
        return Measured(rows / seconds, batch_seconds, peak)

    return measure


def typical_steps(run: Ready, steps: int) -> None:
    """Take steps on the rows of median length."""
    lengths, batch_size = run.loaded.data.train.tokens.lengths, run.settings.training.batch_size
    middle = lengths.argsort(stable=True)[(len(lengths) - batch_size) // 2 :][:batch_size]

    def step(phase: Phase, _rows: Tensor) -> None:
        for _ in range(steps):
            real_step(phase, middle)
        raise Enough

    train_with(step, run)


def even_steps(run: Ready, steps: int) -> tuple[int, float, float]:
    """Rows and seconds of steps on batches spread evenly over the lengths, and the seconds to make one batch."""
    train, found = run.loaded.data.train, []

    def step(phase: Phase, first: Tensor) -> None:
        batches = sorted(phase._order(0), key=lambda rows: int(train.tokens.lengths[rows].max()))
        chosen = [batches[(2 * number + 1) * len(batches) // (2 * steps)] for number in range(steps)]
        real_step(phase, first)  # creates the optimiser's state
        times = [now()]
        for rows in chosen:
            real_step(phase, rows)
        times.append(now())
        for rows in chosen:
            train.batch(rows, 0, 1, 0.0, torch.device("cpu"))
        times.append(now())
        found.extend([sum(map(len, chosen)), times[1] - times[0], (times[2] - times[1]) / steps])
        raise Enough

    train_with(step, run)
    return tuple(found)


def peak_memory() -> int | None:
    """The most memory that this process has held, in bytes, without its parent's; None if unknown."""
    lines = STATUS.read_text().splitlines() if STATUS.is_file() else []
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return peaks[0] if peaks else None
