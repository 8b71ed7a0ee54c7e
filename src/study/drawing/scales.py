"""The units in which people read differences (points for scores, nats for information), and the better direction."""

from dataclasses import dataclass

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
        """A difference in this unit, with its sign and without the unit's name. One that rounds to 0 keeps its sign."""
        return f"{self.factor * difference + 0.0:+.{self.digits}f}"  # 0 itself has no minus


def scale_of(metric: str) -> Scale:
    """The scale of a metric. The Brier score has no unit."""
    if metric == "brier":
        return Scale("", 1, 3)
    if metric in LOWER_IS_BETTER + NEITHER_IS_BETTER:
        return Scale("nats", 1, 3)
    return Scale("points", 1 / POINT, 1)


def better(metric: str) -> str | None:
    """Whether "higher" or "lower" values of a metric are better; None for CMI, because claims ask this."""
    if metric in NEITHER_IS_BETTER:
        return None
    return "lower" if metric in LOWER_IS_BETTER else "higher"


def metric_in_words(metric: str) -> str:
    """The metric of a claim, or that it is the first metric of each task."""
    return f"{metric} metric" if metric.endswith("first") else metric
