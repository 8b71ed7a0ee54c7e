"""The figure of a study's claims: the difference with its interval, on each task and over all tasks."""

from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from src.study.claims.claims_in_words import hangs_on_in_words
from src.study.drawing.panels import COLOURS, colour_of_verdict, draw_difference, save
from src.study.drawing.scales import metric_in_words, scale_of

TASK = COLOURS[0]
PANEL_WIDTH, LINE_HEIGHT, MOST_COLUMNS = 3.4, 0.3, 4
TITLE_WIDTH = 40  # characters that fit above a panel
SIDE_WIDTH = 34  # the same for names of arms, which have wider characters


def draw_claims(claims: list[dict[str, Any]], path: Path) -> None:
    """Draw a PNG file with a panel per claim. There is no file if no claim has a task.

    Args:
        claims: the study's claims and contrasts, as in claims.json.
    """
    shown = [claim for claim in claims if claim["tasks"]]
    if not shown:
        return
    lines = 1 + max(len(claim["tasks"]) for claim in shown)
    columns = min(len(shown), MOST_COLUMNS)
    rows = -(-len(shown) // columns)
    size = (PANEL_WIDTH * columns, (1.5 + LINE_HEIGHT * lines) * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis, claim in zip(axes.flat, shown, strict=False):
        _draw(axis, claim)
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    save(figure, path)


def _draw(axis: Axes, claim: dict[str, Any]) -> None:
    """Draw the tasks in their order from the top, and the mean over tasks at the bottom."""
    rows: list[dict[str, Any]] = [*claim["tasks"], claim | {"task": "all tasks"}]
    heights = np.arange(len(rows))[::-1]
    colours = [TASK] * len(claim["tasks"]) + [colour_of_verdict(claim)]
    axis.axvline(0, color="0.6", linewidth=1)
    axis.axhline(0.5, color="0.85", linewidth=1)
    scale = scale_of(claim["metric"])
    for row, height, colour in zip(rows, heights, colours, strict=True):
        draw_difference(axis, height, row, scale.factor, colour, width=2, area=28)
    axis.set_yticks(heights, [row["task"] for row in rows])
    axis.set_title("\n".join(_title(claim)), fontsize=10, loc="left")
    axis.set_ylim(-0.6, len(rows) - 0.4)
    unit = f" ({scale.unit})" if scale.unit else ""
    axis.set_xlabel(f"difference on test{unit}\n{metric_in_words(claim['metric'])}", fontsize=9)
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.margins(x=0.1)
    axis.tick_params(labelsize=8)
    axis.grid(axis="x", alpha=0.3)


def _title(claim: dict[str, Any]) -> list[str]:
    """The lines of a title: the two sides, the verdict, and each task without which the verdict changes."""
    return [*_compared(claim), claim["verdict"], *wrap(hangs_on_in_words(claim), TITLE_WIDTH)]


def _compared(claim: dict[str, Any]) -> list[str]:
    if "contrast" not in claim:
        return [f"{claim['family']} - {claim['against']}"]
    sides = [claim["family"], f"- {claim['against']}"]
    return [
        f"contrast {claim['name']}",
        *(line for side in sides for line in wrap(side, SIDE_WIDTH, break_on_hyphens=False)),
    ]
