"""The units in which people read differences (points for scores, nats for information), and the better direction."""

from dataclasses import dataclass
from typing import Any

LOWER_IS_BETTER = ("nll", "brier", "kl_to_human", "kl_to_human_tempered")
NEITHER_IS_BETTER = ("class_cmi", "feature_cmi")
POINT = 0.01  # of a score; on the common axis of all claims, 0.01 nats is as long as a point


@dataclass(frozen=True)
class Scale:
    """The unit of a metric's differences, how many units a difference of 1 has, and the digits to print."""

    unit: str
    factor: float
    digits: int

    def told(self, difference: float) -> str:
        """A difference in this unit, with its sign and without the unit's name."""
        return f"{round(self.factor * difference, self.digits) + 0.0:+.{self.digits}f}"  # no -0.0


def scale_of(claim: dict[str, Any]) -> Scale:
    """The scale of a claim's metric. The Brier score has no unit."""
    if claim["metric"] == "brier":
        return Scale("", 1, 3)
    if claim["metric"] in LOWER_IS_BETTER + NEITHER_IS_BETTER:
        return Scale("nats", 1, 3)
    return Scale("points", 1 / POINT, 1)


def better(claim: dict[str, Any]) -> str | None:
    """Whether "higher" or "lower" values of a claim's metric are better; None for CMI, because claims ask this."""
    if claim["metric"] in NEITHER_IS_BETTER:
        return None
    return "lower" if claim["metric"] in LOWER_IS_BETTER else "higher"


def metric_in_words(claim: dict[str, Any]) -> str:
    """A claim's metric, or that it is the first metric of each task."""
    return f"{claim['metric']} metric" if claim["metric"].endswith("first") else claim["metric"]
