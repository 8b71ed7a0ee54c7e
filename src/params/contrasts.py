"""The contrasts of params.yaml: several differences between arms, combined into one."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from src.params.types import ClaimMetric, Positive, Role, Section

ArmAndAgainst = Annotated[list[str], Field(min_length=2, max_length=2)]


class Contrast(Section):
    """A claim about several pairs of arms: their differences, combined in each row of each seed, have a direction."""

    statement: Annotated[str, Field(min_length=1)]
    """The contrast in words."""
    role: Role
    """Role of the arms: teacher or student."""
    pairs: Annotated[list[ArmAndAgainst], Field(min_length=2)]
    """Pairs such as [cmi_min, ce]: an arm or family, and the one that it is compared with."""
    combine: Literal["mean", "change"]
    """mean: the mean of the pairs' differences, a pooled effect. change: the second pair's difference minus the first
    pair's, an interaction of two pairs.
    """
    direction: Literal["higher", "lower"]
    """Whether higher or lower values are claimed."""
    metric: ClaimMetric | None = None
    """null: each task's first metric."""
    worthwhile: Positive
    """The smallest value worth having, in the metric's unit."""

    @field_validator("pairs")
    @classmethod
    def _pairs_differ(cls, pairs: list[list[str]]) -> list[list[str]]:
        if any(arm == against for arm, against in pairs):
            raise ValueError("a pair should name two different arms")
        if len({frozenset(pair) for pair in pairs}) < len(pairs):
            raise ValueError("name each pair once")
        return pairs

    @model_validator(mode="after")
    def _a_change_is_between_two(self) -> "Contrast":
        if self.combine == "change" and len(self.pairs) > 2:
            raise ValueError("combine: change takes exactly two pairs")
        return self

    @property
    def sides(self) -> tuple[list[str], list[str]]:
        """The arms whose values are added, and the arms whose values are subtracted."""
        if self.combine == "mean":
            return [arm for arm, _ in self.pairs], [against for _, against in self.pairs]
        (first, of_first), (second, of_second) = self.pairs
        return [second, of_first], [of_second, first]
