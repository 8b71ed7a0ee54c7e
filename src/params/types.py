"""The types of values in params.yaml, with the ranges that the libraries accept."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from src.system.unicode import canonical

LARGEST_COUNT = 2**31 - 1  # the largest that every library accepts
LARGEST_SEED = 2**32 - 1  # the largest that NumPy and scikit-learn accept
MOST_THREADS = 1024  # OpenMP ends the process if it cannot start all the threads
MOST_BINS = 10_000  # each bin has its own sum
HOTTEST = 1e5  # here a loss is within 1 in 100,000 of its limit, and float64 leaves five digits
LONGEST_NAME = 50  # a folder's name joins up to three names and a seed, in at most 255 bytes
# Control characters, halves of surrogate pairs, ends of lines and paragraphs, and marks for the direction of text. The
# joiners U+200C and U+200D are allowed: Persian, Hindi and emoji need them.
UNFIT_FOR_LABELS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069\u061c\u200e\u200f]")


def _no_boolean(value: Any) -> Any:
    """Refuse true and false, which pydantic reads as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("it should be a number, not true or false")
    return value


def _commit(revision: str) -> str:
    """Refuse all but a full commit hash: branches and tags can move to other content."""
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError("it should be a full commit hash of 40 hexadecimal digits: branches and tags can move")
    return revision


def _text(value: Any) -> Any:
    """Refuse values that YAML does not read as text, such as null, 1 and 2024-01-01 without quotes."""
    if not isinstance(value, str):
        raise ValueError("it should be text: put it in quotes")
    return value


def _label_name(name: str) -> str:
    """Refuse a label name that does not fit into tables, figures and names of columns."""
    if not name.strip() or name != name.strip() or UNFIT_FOR_LABELS.search(name):
        raise ValueError("a label name should be text without line breaks, control characters and blanks around it")
    return canonical(name)


def _dropped_label(label: Any) -> Any:
    if isinstance(label, bool) or not isinstance(label, str | int | None):
        raise ValueError("it should be a whole number, a text in quotes, or null for rows without a label")
    return canonical(label) if isinstance(label, str) else label


# Task names may hold dashes; arm and recipe names may not, because a dash joins the two in a student's name.
TaskName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=LONGEST_NAME)]
ArmName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=LONGEST_NAME)]
FamilyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=LONGEST_NAME)]
LabelName = Annotated[str, Field(max_length=LONGEST_NAME), BeforeValidator(_text), AfterValidator(_label_name)]
ColumnName = Annotated[str, AfterValidator(canonical)]
SplitName = Annotated[str, AfterValidator(canonical)]
DroppedLabel = Annotated[str | int | None, BeforeValidator(_dropped_label)]
Commit = Annotated[str, AfterValidator(_commit)]
Whole = Annotated[int, BeforeValidator(_no_boolean)]
Real = Annotated[float, BeforeValidator(_no_boolean)]
Positive = Annotated[Real, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[Real, Field(allow_inf_nan=False)]
NonNegative = Annotated[Real, Field(ge=0, allow_inf_nan=False)]
Temperature = Annotated[Positive, Field(le=HOTTEST)]
Share = Annotated[Real, Field(gt=0, lt=1)]
ShareOrZero = Annotated[Real, Field(ge=0, lt=1)]
AnyShare = Annotated[Real, Field(ge=0, le=1)]
Count = Annotated[Whole, Field(ge=1, le=LARGEST_COUNT)]
CountOrZero = Annotated[Whole, Field(ge=0, le=LARGEST_COUNT)]
Seed = Annotated[Whole, Field(ge=0, le=LARGEST_SEED)]
Tokens = Annotated[Whole, Field(ge=4, le=LARGEST_COUNT)]  # room for [CLS], one token of each text and [SEP]

Role = Literal["teacher", "student"]
Space = Literal["feature", "class"]
FeatureMap = Literal["softmax", "unit_softmax", "unit_sigmoid"]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
KeptEpoch = Literal["best", "last"]
Centroid = Literal["batch", "ema", "epoch", "frozen"]
Clusters = Literal["class", "all"]
CentreMap = Literal["none", "unit"]
Metric = Literal["accuracy", "f1", "macro_f1", "matthews", "auc"]
# The metrics that a claim may name. ECE is not among them, because it has no interval.
ClaimMetric = Literal[Metric, "nll", "brier", "class_cmi", "feature_cmi", "kl_to_human", "kl_to_human_tempered"]
LabelLoss = Literal["ce", "mse"]
KdLoss = Literal["kl", "logit_std", "dist", "ttm", "wttm"]


class Section(BaseModel):
    """A section of params.yaml. It is immutable, refuses unknown keys and converts no types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def two_of(first: str, second: str, what: str) -> Any:
    """A validator that refuses equal values of two keys; `what` says what they should be, such as "two arms"."""

    def check(section: Section) -> Section:
        if getattr(section, first) == getattr(section, second):
            raise ValueError(f"{first} and {second} should be {what}")
        return section

    return model_validator(mode="after")(check)
