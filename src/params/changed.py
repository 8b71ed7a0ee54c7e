"""Teachers that are changed after their training: their logits go through a map before a student learns from them.

Each kind has a `name`, which stands in its students' arms (`<recipe>-<name>`) and is what `stages.distill` takes for
`--teacher`; `arms`, the teacher arms that it needs, by the keys that name them; `how` it teaches, in words; and the
`key` of `distill` that lists it.
"""

from typing import ClassVar

from src.params.types import ArmName, Finite, Section, two_of


class Matched(Section):
    """A control: distil teacher arm `teacher` at the temperature that gives it the CMI of teacher arm `like`."""

    key: ClassVar[str] = "matched"
    how: ClassVar[str] = "at another temperature"

    teacher: ArmName
    """The teacher arm that a temperature brings to another CMI."""
    like: ArmName
    """The teacher arm that has this CMI."""

    _are_two = two_of("teacher", "like", "two arms")

    @property
    def name(self) -> str:
        """The name under which it teaches."""
        return f"{self.teacher}_as_{self.like}"

    @property
    def arms(self) -> dict[str, str]:
        """The teacher arms that it needs, by key."""
        return {"teacher": self.teacher, "like": self.like}


class Calibrated(Section):
    """A control: distil teacher arm `teacher` at the temperature that fits the selection labels best."""

    key: ClassVar[str] = "calibrated"
    how: ClassVar[str] = "at another temperature"

    teacher: ArmName
    """The teacher arm that is calibrated."""

    @property
    def name(self) -> str:
        """The name under which it teaches."""
        return f"{self.teacher}_calibrated"

    @property
    def arms(self) -> dict[str, str]:
        """The teacher arm that it needs, by key."""
        return {"teacher": self.teacher}


class Mapped(Section):
    """Distil teacher arm `teacher` through the affine map of its logits with the least NLL + cmi_weight * CMI."""

    key: ClassVar[str] = "mapped"
    how: ClassVar[str] = "through an affine map"

    name: ArmName
    """A name of its own: the student by recipe kd is kd-<name>."""
    teacher: ArmName
    """The teacher arm whose logits are mapped."""
    cmi_weight: Finite
    """> 0 lowers the class-space CMI of the logits, < 0 raises it. The NLL of the train labels has weight 1."""

    @property
    def arms(self) -> dict[str, str]:
        """The teacher arm that it needs, by key."""
        return {"teacher": self.teacher}


Changed = Matched | Calibrated | Mapped
