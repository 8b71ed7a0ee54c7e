"""The picture of the README: the paper's two claims in the committed studies, on one axis in points."""

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from src.study.claims.claims import load_claims, without_task
from src.study.claims.claims_in_words import short_verdict
from src.study.drawing.panels import COLOURS, draw_difference, note_beside, save
from src.study.drawing.scales import POINT

LEFT_OUT = "wnli"  # scores there reward guessing the majority label
LINES = {  # each with its colour and width
    "seven tasks, without WNLI": (COLOURS[0], 3.5),
    "all eight tasks": ("0.55", 1.5),
}
APART = 0.2  # of the two lines of a row, from its middle
SIZE, SIDES = (9.5, 6), (-2, 4.5)  # inches; points


class Row(NamedTuple):
    """A claim of a study, and its name in the picture."""

    label: str
    study: str
    claim: str


PANELS = {
    "Claim 1: a model that minimises CMI, compared with plain fine-tuning": (
        Row("8 epochs, chosen settings", "glue-minilm", "alone"),
        Row("8 epochs, both at learning rate 5e-5", "glue-minilm-rates", "rate_1"),
        Row("8 epochs, both at learning rate 1e-4", "glue-minilm-rates", "rate_2"),
        Row("8 epochs, both at learning rate 2e-4", "glue-minilm-rates", "rate_3"),
        Row("6 epochs, both at learning rate 1e-4", "glue-minilm-fixed", "alone"),
    ),
    "Claim 2: a student whose teacher maximises CMI, compared with another student": (
        Row("against no teacher, chosen settings", "glue-minilm", "kd"),
        Row("against no teacher, fixed settings", "glue-minilm-fixed", "kd"),
        Row("against a plain teacher, chosen settings", "glue-minilm", "kd_max"),
        Row("against a plain teacher, fixed settings", "glue-minilm-fixed", "kd_max"),
    ),
}


def draw_headline(metrics: Path, path: Path) -> None:
    """A panel for each of the paper's claims, with a row for each verdict.

    Args:
        metrics: the folder that holds `<study>/claims.json`.
    """
    heights = [len(rows) for rows in PANELS.values()]
    figure, axes = plt.subplots(len(PANELS), sharex=True, figsize=SIZE, height_ratios=heights)
    for axis, (title, rows) in zip(axes, PANELS.items(), strict=True):
        _draw(axis, title, {row.label: claim_of(row, metrics) for row in rows})
    _name_axis(axes[-1])
    _explain_lines(axes[-1])
    save(figure, path)


def claim_of(row: Row, metrics: Path) -> dict[str, Any]:
    """The claim of a row."""
    found, _ = load_claims(metrics / row.study / "claims.json")
    [claim] = [claim for claim in found if claim["name"] == row.claim]
    return claim


def without_wnli(claim: dict[str, Any]) -> dict[str, Any]:
    """The difference, interval and verdict of a claim over all tasks but WNLI."""
    return without_task(claim, LEFT_OUT)


def _draw(axis: Axes, title: str, claims: dict[str, dict[str, Any]]) -> None:
    """Claims from above by their labels: two lines each, with the verdict of each line on the right."""
    axis.axvline(0, color="black", linewidth=1)
    for height, claim in enumerate(claims.values()):
        for above, found, (colour, width) in zip(
            (-APART, APART), (without_wnli(claim), claim), LINES.values(), strict=True
        ):
            draw_difference(axis, height + above, found, 1 / POINT, colour, width, area=12 * width)
            note_beside(axis, height + above, short_verdict(found), colour)
    _head(axis, title)
    axis.set_yticks(range(len(claims)), [*claims])
    axis.set_ylim(len(claims) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelbottom=True)
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "left", "right"]].set_visible(False)


def _head(axis: Axes, title: str) -> None:
    """A title from the left edge of the figure on, and one above the verdicts."""
    axis.set_title(" ", fontsize=11)  # keeps the room
    for text, x, unit in ((title, 0.01, "figure fraction"), ("Verdict", 1.01, "axes fraction")):
        axis.annotate(text, (x, 1.04), xycoords=(unit, "axes fraction"), fontsize=11, fontweight="bold")


def _name_axis(axis: Axes) -> None:
    axis.set_xlim(*SIDES)
    axis.xaxis.set_major_locator(MultipleLocator(1))
    axis.set_xlabel("difference on test rows in percentage points (right of 0: CMI is better)")


def _explain_lines(axis: Axes) -> None:
    """A legend below the axis."""
    lines = [axis.plot([], [], color=colour, linewidth=width)[0] for colour, width in LINES.values()]
    axis.legend(lines, [*LINES], frameon=False, fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.4, -0.35))
