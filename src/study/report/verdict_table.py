"""The table at the top of the report: claims with their verdicts, and their intervals on one axis."""

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from src.study.claims.claims import hangs_on
from src.study.claims.claims_in_words import titled
from src.study.claims.verdicts import CANNOT_BE_SEEN, CANNOT_BE_TOLD, DOES_NOT_HOLD, HOLDS, OPPOSITE
from src.study.drawing.scales import POINT, better, metric_in_words, scale_of

NULL_FIRST = [OPPOSITE, DOES_NOT_HOLD, CANNOT_BE_SEEN, CANNOT_BE_TOLD, HOLDS]
CLASSES = dict(zip(NULL_FIRST, ("opposite", "fails", "unseen", "untold", "holds"), strict=True))  # in style.css
UNITS = {"points": "points", "nats": "hundredths of a nat", "": "hundredths"}  # of the axis, by that of a metric
CLAIMED = {"nats": "a claim in nats", "": "a Brier score"}
MARGIN = 0.1  # of the axis, on both sides of its outer ticks, because labels are wider than ticks
FEWEST_POINTS = 0.1  # the least distance from the lowest to the highest tick


def null_first(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims in the order of the report: verdicts against a claim come before verdicts for it."""
    return sorted(claims, key=lambda claim: NULL_FIRST.index(claim["verdict"]))


def verdict_table(claims: list[dict[str, Any]]) -> dict[str, Any]:
    """The ticks of the common axis in points, and a row per claim. Places are in per cent of the axis."""
    known = [claim[key] / POINT for claim in claims for key in ("difference", "low", "high") if key in claim]
    ticks = _ticks([0.0, *known])
    low, high = ticks[0], ticks[-1]
    margin = MARGIN * (high - low)

    def place(points: float) -> float:
        return round(100 * (points - low + margin) / (high - low + 2 * margin), 2)

    return {
        "ticks": [{"at": place(tick), "label": f"{tick:g}"} for tick in ticks],
        "zero": place(0.0),
        "unit": _unit(claims),
        "rows": [_row(claim, place) for claim in claims],
    }


def _ticks(points: list[float]) -> list[float]:
    """Round numbers from below the lowest point to above the highest."""
    low, high = min(points), max(points)
    found = MaxNLocator(4).tick_values(low, max(high, low + FEWEST_POINTS))
    return [float(tick) + 0.0 for tick in np.round(found, 6)]  # no -0.0


def _unit(claims: list[dict[str, Any]]) -> str:
    """The unit of the axis, for each kind of metric in the claims."""
    there = {scale_of(claim["metric"]).unit for claim in claims}
    first, *rest = [unit for unit in UNITS if unit in there] or ["points"]
    return "; ".join([UNITS[first], *(f"for {CLAIMED[unit]}, {UNITS[unit]}" for unit in rest)])


def _row(claim: dict[str, Any], place: Any) -> dict[str, Any]:
    row = {
        "name": claim["name"],
        "title": titled(claim),
        "compared": f"{claim['role']}: {claim['family']} minus {claim['against']}",
        "claimed": f"{claim['direction']}, {metric_in_words(claim['metric'])}",
        "verdict": claim["verdict"],
        "kind": CLASSES[claim["verdict"]],
        "hangs_on": [rest["task"] for rest in hangs_on(claim)],
        "better": better(claim["metric"]),
        "told": None,
        "interval": None,
    }
    scale = scale_of(claim["metric"])
    if "difference" in claim:
        told = scale.told(claim["difference"])
        row |= {"told": f"{told} {scale.unit}".strip(), "at": place(claim["difference"] / POINT)}
    if "low" in claim:
        ends = [claim["low"], claim["high"]]
        row |= {"interval": " to ".join(map(scale.told, ends)), "ends": [place(end / POINT) for end in ends]}
    return row
