"""The kinds of values that params.yaml holds, with the ranges that the libraries behind them can take."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from src.system.unicode import canonical

LARGEST_COUNT = 2**31 - 1  # what every library behind this takes
LARGEST_SEED = 2**32 - 1  # what NumPy and scikit-learn take
MOST_THREADS = 1024  # OpenMP ends the process where it cannot start as many as asked for
MOST_BINS = 10_000  # each is a sum of its own
HOTTEST = 1e5  # a loss at this temperature is its limit to 1 in 100,000, and float64 has five digits of it left
LONGEST_NAME = 50  # up to three names and a seed are joined to the name of a folder, which may have 255 bytes


def _no_boolean(value: Any) -> Any:
    """pydantic takes true for 1."""
    if isinstance(value, bool):
        raise ValueError("it should be a number, not true or false")
    return value


def _commit(revision: str) -> str:
    """Branches and tags can be moved to other content; a commit cannot."""
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError("it should be a full commit hash of 40 hexadecimal digits: branches and tags can move")
    return revision


def _text(value: Any) -> Any:
    """YAML reads yes, no, null, 1 and 2024-01-01 as something else."""
    if not isinstance(value, str):
        raise ValueError("it should be text: put it in quotes")
    return value


def _label_name(name: str) -> str:
    """Label names are shown in tables and figures, and are part of column names."""
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise ValueError("a label name should be text without line breaks or blanks around it")
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
# What a claim may be about; ECE has no interval.
ClaimMetric = Literal[Metric, "nll", "brier", "class_cmi", "feature_cmi", "kl_to_human", "kl_to_human_tempered"]
LabelLoss = Literal["ce", "mse"]
KdLoss = Literal["kl", "logit_std", "dist", "ttm", "wttm"]


class Section(BaseModel):
    """A part of params.yaml: immutable, closed to unknown keys, and of values that have their type already."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def two_of(first: str, second: str, what: str) -> Any:
    """A validator of a section of which two keys should name two things; `what` these are, such as "two arms"."""

    def check(section: Section) -> Section:
        if getattr(section, first) == getattr(section, second):
            raise ValueError(f"{first} and {second} should be {what}")
        return section

    return model_validator(mode="after")(check)
