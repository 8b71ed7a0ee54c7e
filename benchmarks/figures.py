"""Measured figures with their goals, and the table and JSON made from them."""

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers

from src.core.speed.instructions import bf16_instructions
from src.repository.committed import commit
from src.system.files import write_json


@dataclass(frozen=True)
class Figure:
    """One number and its goal, if it has one. A figure without a value was not measured.

    `unit` is x, %, s, MB or the like. `rounds` has the repeats, whose median is `value`.
    """

    name: str
    value: float | None
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    rounds: tuple[float, ...] = ()
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal or a value."""
        if self.value is None:
            return None
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    @property
    def goal(self) -> str:
        """The goal in words."""
        if self.at_least is not None:
            return f">= {self.at_least:g} {self.unit}"
        return f"<= {self.at_most:g} {self.unit}" if self.at_most is not None else ""


def median_figure(name: str, rounds: Iterable[float], unit: str, **more: Any) -> Figure:
    """The median of repeats as a figure."""
    rounds = tuple(rounds)
    return Figure(name, median(rounds), unit, rounds=rounds, **more)


def skipped(name: str, unit: str, why: str, **goal: Any) -> Figure:
    """A figure that could not be measured here."""
    return Figure(name, None, unit, note=why, **goal)


def show(figure: Figure) -> str:
    """One line of the table."""
    value = "-" if figure.value is None else f"{figure.value:.2f} {figure.unit}"
    met = {True: "met", False: "MISSED", None: ""}[figure.met]
    spread = f"{min(figure.rounds):.2f} to {max(figure.rounds):.2f}" if len(figure.rounds) > 1 else ""
    more = "; ".join(filter(None, [spread, figure.note]))
    return f"{figure.name:<66} {value:>16}  {figure.goal:<12} {met:<6}  {more}".rstrip()


def table(figures: list[Figure]) -> str:
    """All figures under a line that names the machine."""
    facts = ", ".join(f"{name} {value}" for name, value in machine().items())
    return "\n".join([facts, *map(show, figures)])


def write_results(path: Path, figures: list[Figure], settings: dict[str, int]) -> None:
    """Save figures with the commit, the settings and the machine of their measurement."""
    rows = [asdict(figure) | {"goal": figure.goal, "met": figure.met} for figure in figures]
    write_json(path, {"machine": machine(), "commit": commit(), "settings": settings, "figures": rows})


def machine() -> dict[str, str | int]:
    """The hardware and packages on which a figure depends, without the name of the machine or its owner."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "bf16": bf16_instructions() or "none",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _cpu_model() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
