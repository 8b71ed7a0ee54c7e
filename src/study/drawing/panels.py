"""Parts of figures: panels, legends, colours, and names that fit."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from src.study.claims.verdicts import DECIDED

matplotlib.rcdefaults()  # no matplotlibrc of the user or the folder changes a figure
plt.rcParams["figure.dpi"] = 120  # of the files, and of the layout, since fonts are hinted
plt.rcParams["text.parse_math"] = False  # a dollar sign in the name of a label starts no formula

# Colour-blind safe (Okabe & Ito 2008); an arm keeps its colour in every figure.
COLOURS = ["#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933"]
DECIDED_COLOUR, OPEN_COLOUR = COLOURS[2], COLOURS[6]  # of claims
ROOM = 0.7  # the least distance between two tick labels, in heights of a label
LONGEST_SHOWN = 20  # characters of a name


def panels(rows: int, columns: int, width: float, height: float, **options) -> tuple[Figure, np.ndarray]:
    """A figure of panels, each of this size in inches, and its axes (rows, columns)."""
    return plt.subplots(rows, columns, figsize=(width * columns, height * rows + 0.3), squeeze=False, **options)


def grid(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with rows of up to four panels, and its axes. Spare axes are hidden."""
    columns = min(4, count)
    figure, axes = panels(-(-count // columns), columns, width, height)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat)


def add_legend(axis: Axes, entries: list[tuple[str, Artist]], beside: bool, fontsize: int = 8) -> None:
    """Add a legend in the axis or to the right of it.

    Callers pass the entries, because matplotlib leaves out artists whose own label starts with an underscore.
    """
    names, artists = zip(*entries, strict=True)
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if beside else {}
    axis.legend(artists, names, frameon=False, fontsize=fontsize, **place)


def colour_of_verdict(claim: dict[str, Any]) -> str:
    """The colour of a claim that holds or is opposite, or of any other."""
    return DECIDED_COLOUR if claim["verdict"] in DECIDED else OPEN_COLOUR


def draw_difference(
    axis: Axes, height: float, found: dict[str, Any], factor: float, colour: str, width: float, area: float
) -> None:
    """Draw a difference as a point, with a line for its interval if it has one.

    Args:
        factor: units of the axis in a difference of 1, as in `Scale`.
        width: of the line, in points.
        area: of the point, in square points.
    """
    if "low" in found:
        axis.hlines(height, factor * found["low"], factor * found["high"], colors=colour, linewidth=width)
    axis.scatter(factor * found["difference"], height, color=colour, s=area, zorder=3)


def note_beside(axis: Axes, height: float, text: str, colour: str) -> None:
    """Write a text to the right of the axis, at this height of its data."""
    place = ("axes fraction", "data")
    axis.annotate(text, (1.01, height), xycoords=place, va="center", color=colour, fontsize=9)


def entitle(figure: Figure, title: str, **style: Any) -> None:
    """Write a title above a figure, from its left edge. A long one is wrapped."""
    figure.suptitle(title, x=0.01, ha="left", wrap=True, **{"fontsize": 11, "fontweight": "bold"} | style)


def save(figure: Figure, path: Path) -> None:
    """Lay out a figure, write it as PNG, and close it. Equal figures give equal bytes."""
    # Figures have no engine of their own, so that `savefig` does not lay them out again: that costs more than to draw.
    ConstrainedLayoutEngine().execute(figure)
    part_ticks(figure)
    figure.savefig(path, format="png", metadata={"Software": None})
    plt.close(figure)


def part_ticks(figure: Figure) -> None:
    """Set fewer ticks below panels whose tick labels overlap. Ticks that were set one by one stay."""
    for axis in figure.axes:
        count = len(axis.get_xticks())
        while count > 1 and isinstance(axis.xaxis.get_major_locator(), MaxNLocator) and _run_together(axis):
            count -= 1
            axis.xaxis.set_major_locator(MaxNLocator(count))


def _run_together(axis: Axes) -> bool:
    """Whether two labels below a panel are closer than `ROOM`."""
    shown = [label for label in axis.get_xticklabels() if label.get_visible() and label.get_text()]
    boxes = sorted((label.get_window_extent() for label in shown), key=lambda box: box.x0)
    return any(right.x0 - left.x1 < ROOM * min(left.height, right.height) for left, right in pairwise(boxes))


def shortened(name: str) -> str:
    """A long name without its middle, because names of arms often differ only at the end."""
    half = LONGEST_SHOWN // 2
    return name if len(name) <= LONGEST_SHOWN else f"{name[: half - 1]}…{name[-half:]}"


def arms_of_table(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Every (role, arm) of a table, in its order."""
    return list(dict.fromkeys(zip(table["role"], table["arm"], strict=True)))


def by_arm(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """The lines of each (role, arm) of a table, in its order."""
    return {(role, arm): table[(table["role"] == role) & (table["arm"] == arm)] for role, arm in arms_of_table(table)}


def colours_of_arms(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """A colour for every (role, arm). A student has the colour of its teacher's arm."""
    origins = {arm: arm.rpartition("-")[2] for arm in table["arm"]}
    order = list(dict.fromkeys(origins.values()))
    return {
        (role, arm): COLOURS[order.index(origins[arm]) % len(COLOURS)]
        for role, arm in zip(table["role"], table["arm"], strict=True)
    }
