"""The figure of a study's verdicts: every claim over all tasks, with the axis of its metric in common."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from src.study.claims.claims_in_words import hangs_on_in_words, short_verdict
from src.study.claims.verdicts import DECIDED
from src.study.drawing.panels import (
    COLOURS,
    DECIDED_COLOUR,
    OPEN_COLOUR,
    colour_of_verdict,
    draw_difference,
    entitle,
    note_beside,
    save,
)
from src.study.drawing.scales import better, metric_in_words, scale_of

WORTHWHILE = COLOURS[0]
WIDTH, ROW_HEIGHT, FRAME_HEIGHT = 9.5, 0.27, 0.75  # inches
TITLE = "Every claim on test, over all tasks: the difference, and its interval from five seeds on"
MARKS = {  # each with its colour and marker
    "holds or opposite": (DECIDED_COLOUR, "o"),
    "other verdicts": (OPEN_COLOUR, "o"),
    "worthwhile, on the claimed side": (WORTHWHILE, "|"),
}


def draw_verdicts(claims: list[dict[str, Any]], path: Path) -> None:
    """Draw a PNG file with a panel per metric and a row per claim. There is no file for fewer than two claims.

    Args:
        claims: the study's claims and contrasts, as in claims.json. Those without a task are left out.
    """
    shown = [claim for claim in claims if claim["tasks"]]
    if len(shown) < 2:
        return
    panels = by_metric(shown)
    heights = [FRAME_HEIGHT + ROW_HEIGHT * len(panel) for panel in panels]
    size = (WIDTH, sum(heights) + 0.6)
    figure, axes = plt.subplots(len(panels), squeeze=False, figsize=size, height_ratios=heights)
    of_units: dict[str, Axes] = {}
    for axis, panel in zip(axes.flat, panels, strict=True):
        first = of_units.setdefault(scale_of(panel[0]["metric"]).unit, axis)
        if first is not axis:
            axis.sharex(first)
        _draw(axis, panel)
    _explain_marks(figure)
    entitle(figure, TITLE)
    save(figure, path)


def by_metric(claims: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The claims of each metric, in their order."""
    metrics = dict.fromkeys(claim["metric"] for claim in claims)
    return [[claim for claim in claims if claim["metric"] == metric] for metric in metrics]


def _draw(axis: Axes, claims: list[dict[str, Any]]) -> None:
    """A row per claim from the top, with its verdict on the right."""
    axis.axvline(0, color="black", linewidth=1)
    for height, claim in enumerate(claims):
        colour, factor = colour_of_verdict(claim), scale_of(claim["metric"]).factor
        draw_difference(axis, height, claim, factor, colour, width=2.5, area=30)
        worthwhile = claim["worthwhile"] if claim["direction"] == "higher" else -claim["worthwhile"]
        axis.scatter(factor * worthwhile, height, color=WORTHWHILE, marker="|", s=90, zorder=4)
        note_beside(axis, height, _judged(claim), colour)
    axis.set_yticks(range(len(claims)), [_named(claim) for claim in claims], fontsize=9)
    axis.set_ylim(len(claims) - 0.5, -0.5)
    axis.set_xlabel(_measured(claims[0]), fontsize=9)
    axis.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axis.tick_params(axis="x", labelsize=9)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "left", "right"]].set_visible(False)


def _measured(claim: dict[str, Any]) -> str:
    """A claim's metric with its unit and its better side, where it has them."""
    side = better(claim["metric"])
    told = [part for part in (scale_of(claim["metric"]).unit, f"{side} is better" if side else "") if part]
    return f"{metric_in_words(claim['metric'])} ({', '.join(told)})" if told else metric_in_words(claim["metric"])


def _named(claim: dict[str, Any]) -> str:
    """A claim's name with its two arms, and the claimed side if it is not the better one. A contrast has many arms."""
    arms = "contrast" if "contrast" in claim else f"{claim['family']} minus {claim['against']}"
    side = "" if claim["direction"] == better(claim["metric"]) else f", claimed {claim['direction']}"
    return f"{claim['name']}: {arms}{side}"


def _judged(claim: dict[str, Any]) -> str:
    """The verdict. If it is decided, also the tasks without each of which it would be another."""
    verdict = short_verdict(claim)
    return f"{verdict} {hangs_on_in_words(claim)}".rstrip() if verdict in DECIDED else verdict


def _explain_marks(figure: Figure) -> None:
    """A legend below all panels."""
    shown = [Line2D([], [], color=colour, marker=marker, linestyle="") for colour, marker in MARKS.values()]
    figure.legend(shown, [*MARKS], loc="outside lower center", ncols=len(MARKS), frameon=False, fontsize=9)
