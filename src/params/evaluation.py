"""What params.yaml says of the evaluation."""

from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from src.params.contrasts import Contrast
from src.params.types import (
    LONGEST_NAME,
    MOST_BINS,
    ArmName,
    ClaimMetric,
    FamilyName,
    Positive,
    Role,
    Section,
    Share,
    Whole,
    two_of,
)

Trials = Annotated[list[str], Field(min_length=1)]
LineName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
# What a curve may be drawn over: a number that arms set, of the objective or of the training.
CurveSetting = Literal[
    "cmi_weight",
    "tau",
    "separation_weight",
    "label_smoothing",
    "confidence_penalty",
    "alpha",
    "temperature",
    "epochs",
    "lr",
    "train_share",
]


class Pair(Section):
    """Two arms or families to compare besides the arms that are compared anyway."""

    role: Role
    """Whether arms of teachers or of students."""
    family: str
    """A family, or an arm."""
    against: str
    """What the family is compared with."""

    _are_two = two_of("family", "against", "two")


class Families(Section):
    """Arms that are trials of one idea, by role; on each task one of them stands for the family."""

    teacher: dict[FamilyName, Trials] = Field(default_factory=dict)
    """By family: its arms among the teachers."""
    student: dict[FamilyName, Trials] = Field(default_factory=dict)
    """By family: its arms among the students, such as kd-cmi_max."""

    def of(self, role: Role) -> dict[str, list[str]]:
        """The families of a role: the trials of each."""
        return getattr(self, role)

    def listed(self) -> list[tuple[Role, str, list[str]]]:
        """Every family with its role and its trials."""
        return [(role, family, trials) for role in get_args(Role) for family, trials in self.of(role).items()]


class Reference(Section):
    """Two arms or families that must differ as a claim says of its own, before a null result of the claim counts."""

    family: str
    """A family, or an arm, of the claim's role."""
    against: str
    """What the reference's family must differ from, in the claim's direction and metric."""

    _are_two = two_of("family", "against", "two")


class Claim(Section):
    """That a family, or an arm, differs from another in a direction; docs/protocol.md says how it is judged.

    `metric` None is each task's first one. `worthwhile` is the smallest difference worth having, in the metric's unit.
    """

    statement: Annotated[str, Field(min_length=1)]
    """The claim in words."""
    role: Role
    """Whether it is of teachers or of students."""
    family: str
    """A family, or an arm."""
    against: str
    """What the family is compared with."""
    direction: Literal["higher", "lower"]
    """Whether higher or lower values are claimed."""
    metric: ClaimMetric | None = None
    """null: each task's first one."""
    worthwhile: Positive
    """The smallest difference worth having, in the metric's unit."""
    reference: Reference | None = Field(default=None, exclude_if=lambda pair: pair is None)
    """Two that must differ in the claimed direction, or else a null result is "cannot be seen here"; null: none."""

    _are_two = two_of("family", "against", "two")

    @model_validator(mode="after")
    def _has_another_reference(self) -> "Claim":
        if self.reference is not None and {self.family, self.against} == {*self.reference.model_dump().values()}:
            raise ValueError("the reference should be another pair than that of the claim")
        return self

    @property
    def sign(self) -> int:
        """1 where higher values are claimed, -1 where lower ones are."""
        return 1 if self.direction == "higher" else -1


class Curve(Section):
    """A figure of how arms fare as one of their settings changes.

    An arm's x is its own setting; a family's x is that of its chosen trial. docs/choosing.md, Curves, says what is
    drawn.
    """

    over: CurveSetting
    """The setting on the x axis, as each arm has it on each task."""
    role: Role
    """Whether its arms are teachers or students."""
    lines: Annotated[dict[LineName, Trials], Field(min_length=1)]
    """By the name that the legend shows: the arms of a line, or families."""
    against: LineName | None = None
    """A line whose arms the others at the same x are compared with, in panels of their own; null: none."""

    @model_validator(mode="after")
    def _compares_lines(self) -> "Curve":
        if self.against is not None and (self.against not in self.lines or len(self.lines) == 1):
            raise ValueError(f"against should name one of the lines ({', '.join(self.lines)}), beside another line")
        return self

    @model_validator(mode="after")
    def _is_of_a_setting_of_its_role(self) -> "Curve":
        if self.role == "teacher" and self.over in ("alpha", "temperature"):
            raise ValueError(f"{self.over} is a setting of students")
        return self


class EvaluateSection(Section):
    """How arms are measured and compared."""

    baseline: ArmName
    """The teacher arm that the others are compared with."""
    families: Families = Field(default_factory=Families)
    """Arms that are trials of one idea; on each task the best one on selection stands for them all."""
    pairs: list[Pair] = Field(default_factory=list)
    """More comparisons."""
    claims: dict[ArmName, Claim] = Field(default_factory=dict)
    """By name: what the study is asked, judged by docs/protocol.md."""
    contrasts: dict[ArmName, Contrast] = Field(default_factory=dict, exclude_if=lambda named: not named)
    """By name: several differences of arms as one, judged by docs/protocol.md too."""
    curves: dict[ArmName, Curve] = Field(default_factory=dict)
    """By name: figures plots/<study>/curve_<name>.png."""
    ece_bins: Annotated[Whole, Field(ge=1, le=MOST_BINS)]
    """Bins of the expected calibration error."""
    confidence: Share
    """Of all intervals."""

    @field_validator("contrasts")
    @classmethod
    def _have_names_of_their_own(cls, contrasts: dict[str, Contrast], info: ValidationInfo) -> dict[str, Contrast]:
        """One file has the verdicts of both, by name."""
        if both := [name for name in contrasts if name in info.data.get("claims", {})]:
            raise ValueError(f"'{both[0]}' is also the name of a claim: give the contrast another name")
        return contrasts
