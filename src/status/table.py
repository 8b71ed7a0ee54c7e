"""The states of a study's runs as text."""

import time
from collections import Counter
from collections.abc import Sequence

from src.params import Params
from src.status.found import now
from src.status.states import STATES, RunState
from src.system.printing import counted

SHOWN = ("failed", "diverging", "slow", "running")
ORDER = (*SHOWN, "waiting", "finished")
HEAD = ("state", "run", "epoch", "score", "since", "")


def table(params: Params, states: Sequence[RunState], every: bool) -> list[str]:
    """The lines of the table: counts, then the runs that need attention or are running, or all runs with `every`."""
    counts = Counter(run.state for run in states)
    told = ", ".join(f"{counts[state]} {state}" for state in reversed(STATES) if counts[state])
    lines = [f"study {params.study}, {counted(len(states), 'run')}: {told}"]
    shown = [run for run in states if every or run.state in SHOWN]
    if not params.runtime.live:
        lines.append("runtime.live is false: a run appears only after its end")
    return lines + (_aligned([HEAD, *map(_cells, sorted(shown, key=_place))]) if shown else [])


def _place(run: RunState) -> tuple[int, str]:
    return ORDER.index(run.state), str(run.name)


def _cells(run: RunState) -> tuple[str, ...]:
    epoch = "" if run.epoch is None and run.began is None else f"{run.epoch or 0}/{run.epochs}"
    score = "" if run.score is None else f"{run.score:.4f}"
    return run.state, str(run.name), epoch, score, _since(run.began), run.told


def _since(began: float | None) -> str:
    if began is None:
        return ""
    minutes = (now() - began) / 60
    ago = f"{minutes * 60:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    return f"{time.strftime('%H:%M', time.localtime(began))} ({ago})"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
