"""What params.yaml says of contrasts: several differences of arms as one."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from src.params.types import ClaimMetric, Positive, Role, Section

ArmAndAgainst = Annotated[list[str], Field(min_length=2, max_length=2)]


class Contrast(Section):
    """That the differences of several pairs of arms, taken together in each row of each seed, lie in a direction.

    It is judged as a claim is. `metric` None is each task's first one.
    """

    statement: Annotated[str, Field(min_length=1)]
    """The contrast in words."""
    role: Role
    """Whether it is of teachers or of students."""
    pairs: Annotated[list[ArmAndAgainst], Field(min_length=2)]
    """Pairs such as [cmi_min, ce], each an arm or family and what it is compared with."""
    combine: Literal["mean", "change"]
    """mean: the mean of the pairs' differences, a pooled effect. change: the difference of the second of two pairs
    minus that of the first, an interaction.
    """
    direction: Literal["higher", "lower"]
    """Whether higher or lower values are claimed."""
    metric: ClaimMetric | None = None
    """null: each task's first one."""
    worthwhile: Positive
    """The smallest value worth having, in the metric's unit."""

    @field_validator("pairs")
    @classmethod
    def _pairs_differ(cls, pairs: list[list[str]]) -> list[list[str]]:
        if any(arm == against for arm, against in pairs):
            raise ValueError("a pair should be of two arms")
        if len({frozenset(pair) for pair in pairs}) < len(pairs):
            raise ValueError("each pair may be named once")
        return pairs

    @model_validator(mode="after")
    def _a_change_is_between_two(self) -> "Contrast":
        if self.combine == "change" and len(self.pairs) > 2:
            raise ValueError("combine change takes two pairs")
        return self

    @property
    def sides(self) -> tuple[list[str], list[str]]:
        """The arms whose values are added, and those whose values are taken off."""
        if self.combine == "mean":
            return [arm for arm, _ in self.pairs], [against for _, against in self.pairs]
        (first, of_first), (second, of_second) = self.pairs
        return [second, of_first], [of_second, first]
