"""Teachers that are changed after their training: their logits go through a map before a student learns from them.

Each kind of change has four attributes:

| attribute | |
|---|---|
| `name` | the value of `--teacher` in `stages.distill`; its students' arms are `<recipe>-<name>` |
| `arms` | the teacher arms that it needs, by the key that names them |
| `how` | how it teaches, in words |
| `key` | the key of `distill` that lists it |
"""

from typing import ClassVar

from src.params.types import ArmName, Finite, Section, two_of


class Matched(Section):
    """A control: distil teacher arm `teacher` at the temperature that gives it the CMI of teacher arm `like`."""

    key: ClassVar[str] = "matched"
    how: ClassVar[str] = "at another temperature"

    teacher: ArmName
    """The teacher arm whose CMI a temperature changes."""
    like: ArmName
    """The teacher arm whose CMI it should reach."""

    _are_two = two_of("teacher", "like", "two arms")

    @property
    def name(self) -> str:
        """The teacher's name in its students' arms."""
        return f"{self.teacher}_as_{self.like}"

    @property
    def arms(self) -> dict[str, str]:
        """The teacher arms that this change needs, by key."""
        return {"teacher": self.teacher, "like": self.like}


class Calibrated(Section):
    """A control: distil teacher arm `teacher` at the temperature with the least NLL on the selection labels."""

    key: ClassVar[str] = "calibrated"
    how: ClassVar[str] = "at another temperature"

    teacher: ArmName
    """The teacher arm that is calibrated."""

    @property
    def name(self) -> str:
        """The teacher's name in its students' arms."""
        return f"{self.teacher}_calibrated"

    @property
    def arms(self) -> dict[str, str]:
        """The teacher arm that this change needs, by key."""
        return {"teacher": self.teacher}


class Mapped(Section):
    """Distil teacher arm `teacher` through the affine map of its logits with the least NLL + cmi_weight * CMI."""

    key: ClassVar[str] = "mapped"
    how: ClassVar[str] = "through an affine map"

    name: ArmName
    """Name of the changed teacher. The student by recipe kd is kd-<name>."""
    teacher: ArmName
    """The teacher arm whose logits are mapped."""
    cmi_weight: Finite
    """> 0 lowers the class-space CMI of the logits, < 0 raises it. The NLL of the train labels has weight 1."""

    @property
    def arms(self) -> dict[str, str]:
        """The teacher arm that this change needs, by key."""
        return {"teacher": self.teacher}


Changed = Matched | Calibrated | Mapped
