"""The figures of a study's curves: scores of arms on test over one of their settings.

Equal results give equal bytes.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.params import Curve
from src.study.drawing.curve_points import DIFFERENCE, SCORE, curve_points
from src.study.drawing.figures import NAMES
from src.study.drawing.panels import COLOURS, entitle, panels, save, shortened
from src.study.drawing.study_results import StudyResults

SETTINGS = {
    "cmi_weight": "CMI weight",
    "tau": "tau of CMI",
    "alpha": "weight of the teacher",
    "temperature": "temperature of distillation",
    "lr": "learning rate",
    "train_share": "share of train rows",
}
MARKERS = ["o", "s", "^", "D", "v", "P"]
LEGEND_COLUMNS, MANY_TICKS = 3, 5
MOST_COLUMNS, NARROWEST, FIGURE_WIDTH, HEIGHT = 4, 2.4, 7.5, 1.9  # inches
WIDEST_STEP, SPREAD = 0.18, 0.5  # of lines side by side; values of the setting are 1 apart

Cell = tuple[str, str]  # row and task of a panel
GridPlaces = Mapping[Cell, tuple[int, int]]  # row and column in the grid


def draw_curves(results: StudyResults, folder: Path) -> None:
    """Draw every curve of a study into `folder` as curve_<name>.png."""
    for name, curve in results.params.evaluate.curves.items():
        points = curve_points(curve, results)
        figure = draw_curve(curve, points)
        entitle(figure, _title(curve, points, results), fontsize=10, fontweight="normal")
        save(figure, folder / f"curve_{name}.png")


def draw_curve(curve: Curve, points: pd.DataFrame) -> Figure:
    """A figure with a column per task and a row per measure. Tasks beyond the last column continue below.

    Args:
        points: the table from `curve_points`.
    """
    places, values = _places(points), sorted(points["x"].unique())
    down, across = (1 + max(numbers) for numbers in zip(*places.values(), strict=True))
    figure, grid = panels(down, across, max(NARROWEST, FIGURE_WIDTH / across), HEIGHT)
    _share_y([grid[place] for (row, _), place in places.items() if row == DIFFERENCE])
    for (row, task), place in places.items():
        own = points[(points["row"] == row) & (points["task"] == task)]
        _draw(grid[place], own.assign(x=own["x"].map(values.index)), list(curve.lines))
    ticks = [f"{100 * value:g} %" if curve.over == "train_share" else f"{value:g}" for value in values]
    _name_panels(curve, points, places, grid, ticks)
    _add_legend(figure, [grid[place] for place in np.ndindex(down, across) if place not in places.values()], curve)
    return figure


def _title(curve: Curve, points: pd.DataFrame, results: StudyResults) -> str:
    """The figure's title. It names a line that is alone, because such a line has no legend."""
    alone = f"{next(iter(curve.lines))}: " if len(curve.lines) == 1 else ""
    seeds = "one seed" if (results.tables.arms["n"] == 1).all() else "mean over seeds"
    confidence = f", {100 * results.params.evaluate.confidence:g} % intervals" if points["low"].notna().any() else ""
    return f"{alone}{curve.role}s on test, {seeds}{confidence}"


def _places(points: pd.DataFrame) -> GridPlaces:
    """The place of each panel in the grid. The panels of a task are below each other."""
    rows, tasks = (list(dict.fromkeys(points[key])) for key in ("row", "task"))
    across = -(-len(tasks) // -(-len(tasks) // MOST_COLUMNS))
    filled = {*points[["row", "task"]].itertuples(index=False, name=None)}
    return {
        (row, task): (number // across * len(rows) + depth, number % across)
        for (depth, row), (number, task) in product(enumerate(rows), enumerate(tasks))
        if (row, task) in filled
    }


def _draw(axis: Axes, points: pd.DataFrame, lines: list[str]) -> None:
    """Draw the lines side by side, so that no interval hides another."""
    step = min(WIDEST_STEP, SPREAD / len(lines))
    for number, line in enumerate(lines):
        own, style = points[points["line"] == line].sort_values("x"), _style(number)
        at = own["x"] + step * (number - (len(lines) - 1) / 2)
        axis.vlines(at, own["low"], own["high"], colors=style["color"], linewidth=1.5)
        axis.plot(at, own["y"], linewidth=1, **style)
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.grid(axis="y", alpha=0.3)


def _share_y(axes: list[Axes]) -> None:
    """Give panels of differences one y-axis and a line at 0, so that readers can compare tasks by eye."""
    for axis in axes:
        axis.axhline(0, color="0.6", linewidth=1, zorder=1)
        if axis is not axes[0]:
            axis.sharey(axes[0])


def _style(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "markersize": 4.5}


def _name_panels(curve: Curve, points: pd.DataFrame, places: GridPlaces, grid: np.ndarray, ticks: list[str]) -> None:
    """Write the task above its panels, the setting below, and a y-label unless the panel on the left has the same."""
    of_cells = points.groupby(["row", "task"])["metric"].first()
    labels = {place: _label(curve, cell[0], of_cells[cell]) for cell, place in places.items()}
    cells = list(places)
    highest, lowest = ({task: row for row, task in order} for order in (reversed(cells), cells))
    for (row, task), (down, across) in places.items():
        axis = grid[down, across]
        axis.set_xlim(-0.5, len(ticks) - 0.5)
        axis.set_xticks(range(len(ticks)), ticks)
        axis.tick_params(labelsize=8 if len(ticks) < MANY_TICKS else 6, labelbottom=row == lowest[task])
        if row == highest[task]:
            axis.set_title(task, fontsize=9)
        if row == lowest[task]:
            axis.set_xlabel(SETTINGS.get(curve.over, curve.over.replace("_", " ")), fontsize=9)
        if labels.get((down, across - 1)) != labels[down, across]:
            axis.set_ylabel(labels[down, across], fontsize=9)


def _label(curve: Curve, row: str, metric: str) -> str:
    if row == SCORE:
        return NAMES[metric]
    if row == DIFFERENCE:
        return f"Δ {NAMES.get(metric, metric)}\nto {shortened(str(curve.against))}"
    of = metric.removesuffix("kl_to_human").rstrip("_")
    return f"KL(human || model)\n{f'of {of}, ' if of else ''}nats"


def _add_legend(figure: Figure, spare: list[Axes], curve: Curve) -> None:
    """Add the legend in an empty place of the grid, or below all panels. A single line needs none."""
    for axis in spare:
        axis.set_axis_off()
    if len(curve.lines) == 1:
        return
    names = [shortened(line) for line in curve.lines]
    artists = [Line2D([], [], **_style(number)) for number in range(len(names))]
    if spare:
        spare[0].legend(artists, names, frameon=False, fontsize=9, loc="center")
    else:
        columns = min(len(names), LEGEND_COLUMNS)
        figure.legend(artists, names, frameon=False, fontsize=9, loc="outside lower center", ncols=columns)
