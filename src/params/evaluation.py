"""The section `evaluate` of params.yaml: families, comparisons, claims and curves."""

from collections import Counter
from typing import Annotated, Any, Literal, get_args

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
# The keys of claims.json: two lists, and for each claim its name with these endings.
CLAIM_LISTS = ("claims", "warnings")
CLAIM_ENDINGS = ("", "_interval", "_verdict", "_hangs_on")
# The settings that a curve may be drawn over: numbers of the objective or of the training, which arms set.
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
    """Two arms or families to compare, in addition to the comparisons that are always made."""

    role: Role
    """Role of the arms: teacher or student."""
    family: str
    """A family or an arm."""
    against: str
    """The arm or family that it is compared with."""

    _are_two = two_of("family", "against", "two")


class Families(Section):
    """Families by role. A family is a list of arms that are trials of one idea."""

    teacher: dict[FamilyName, Trials] = Field(default_factory=dict)
    """Each family's teacher arms, by the family's name."""
    student: dict[FamilyName, Trials] = Field(default_factory=dict)
    """Each family's student arms, such as kd-cmi_max, by the family's name."""

    def of(self, role: Role) -> dict[str, list[str]]:
        """The trials of each family of a role, by the family's name."""
        return getattr(self, role)

    def listed(self) -> list[tuple[Role, str, list[str]]]:
        """Every family with its role and its trials."""
        return [(role, family, trials) for role in get_args(Role) for family, trials in self.of(role).items()]


class Reference(Section):
    """Two arms or families that must differ in the claim's direction before a null result of the claim counts."""

    family: str
    """A family or an arm, of the claim's role."""
    against: str
    """The family or arm that it must differ from, in the claim's direction and metric."""

    _are_two = two_of("family", "against", "two different arms or families")


class Claim(Section):
    """A claim that a family or arm differs from another in a direction; docs/protocol.md has the rules of verdicts."""

    statement: Annotated[str, Field(min_length=1)]
    """The claim in words."""
    role: Role
    """Role of the arms: teacher or student."""
    family: str
    """A family or an arm."""
    against: str
    """The family or arm that it is compared with."""
    direction: Literal["higher", "lower"]
    """Whether higher or lower values are claimed."""
    metric: ClaimMetric | None = None
    """null: each task's first metric."""
    worthwhile: Positive
    """The smallest difference worth having, in the metric's unit."""
    reference: Reference | None = Field(default=None, exclude_if=lambda pair: pair is None)
    """Two arms or families that must differ in the claimed direction. If they do not, a null result of the claim is
    "cannot be seen here". null: no such test.
    """

    _are_two = two_of("family", "against", "two different arms or families")

    @model_validator(mode="after")
    def _has_another_reference(self) -> "Claim":
        if self.reference is not None and {self.family, self.against} == {*self.reference.model_dump().values()}:
            raise ValueError("the reference should be another pair than the claim's own")
        return self

    @property
    def sign(self) -> int:
        """1 if the claim is about higher values, -1 if it is about lower ones."""
        return 1 if self.direction == "higher" else -1


class Curve(Section):
    """A figure of the arms' scores over one of their settings.

    An arm's own setting is its place on the x axis; a family is drawn as its chosen trial. docs/choosing.md describes
    the figure.
    """

    over: CurveSetting
    """The setting on the x axis. Each arm has its own value, on each task."""
    role: Role
    """Role of the arms: teacher or student."""
    lines: Annotated[dict[LineName, Trials], Field(min_length=1)]
    """The arms or families of each line, by the line's name in the legend."""
    against: LineName | None = None
    """A line that the other lines are compared with at each x, in extra panels; null: no comparison."""

    @model_validator(mode="after")
    def _compares_lines(self) -> "Curve":
        if self.against is not None and (self.against not in self.lines or len(self.lines) == 1):
            raise ValueError(f"against should name one of two or more lines (there are: {', '.join(self.lines)})")
        return self

    @model_validator(mode="after")
    def _is_of_a_setting_of_its_role(self) -> "Curve":
        if self.role == "teacher" and self.over in ("alpha", "temperature"):
            raise ValueError(f"only students have {self.over}: set role to student")
        return self


class EvaluateSection(Section):
    """How arms are measured and compared."""

    baseline: ArmName
    """The teacher arm that the other teacher arms are compared with."""
    families: Families = Field(default_factory=Families)
    """Arms that are trials of one idea. On each task the best one on selection represents the family."""
    pairs: list[Pair] = Field(default_factory=list)
    """Additional comparisons."""
    claims: dict[ArmName, Claim] = Field(default_factory=dict)
    """Claims that the study tests, by name: docs/protocol.md."""
    contrasts: dict[ArmName, Contrast] = Field(default_factory=dict, exclude_if=lambda named: not named)
    """Several differences between arms combined into one claim, by name: docs/protocol.md."""
    curves: dict[ArmName, Curve] = Field(default_factory=dict)
    """Figures over a setting, by name: plots/<study>/curve_<name>.png."""
    ece_bins: Annotated[Whole, Field(ge=1, le=MOST_BINS)]
    """Number of bins of the expected calibration error."""
    confidence: Share
    """Confidence level of all intervals."""

    @field_validator("claims", "contrasts")
    @classmethod
    def _have_keys_of_their_own(cls, named: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Refuse names that would give claims.json a key twice: it has the verdicts of claims and contrasts by name."""
        names = [*info.data.get("claims", {}), *named]  # while the claims are checked, the data has none
        keys = Counter([*CLAIM_LISTS, *(name + ending for name in names for ending in CLAIM_ENDINGS)])
        if twice := [key for key, times in keys.items() if times > 1]:
            raise ValueError(f"claims.json would have the key '{twice[0]}' twice: rename a claim or a contrast")
        return named
