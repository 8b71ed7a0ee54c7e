"""The reading of `mechanism`, fixed as code before its results: each row of the page's table, and its limits."""

from itertools import product

import pytest

from src.study.claims.verdicts import CANNOT_BE_TOLD, DOES_NOT_HOLD, HOLDS, OPPOSITE
from tests.support import mechanism_reading
from tests.support.mechanism_reading import (
    COMPACT,
    LENGTH,
    NOT_SEEN,
    ONE_DRAW,
    OPEN,
    WITHOUT_LABEL,
    label_matters,
    reading,
)
from tests.support.study_numbers import page_of, text

CLAIMS = {
    "helps": {"verdict": HOLDS, "high": 0.03, "worthwhile": 0.01},
    "not": {"verdict": DOES_NOT_HOLD, "high": 0.009, "worthwhile": 0.01},
    "worse": {"verdict": OPPOSITE, "high": -0.001, "worthwhile": 0.01},
    "open": {"verdict": CANNOT_BE_TOLD, "high": 0.011, "worthwhile": 0.01},
    "one task against": {"verdict": DOES_NOT_HOLD, "high": 0.02, "worthwhile": 0.01},
}


def read(alone: str, unit: str, norm: str, without_label: str, norm_over_cmi_min: float = 1.0) -> str:
    kinds = {"alone": alone, "unit": unit, "norm": norm, "all": without_label}
    return reading({name: CLAIMS[kind] for name, kind in kinds.items()}, norm_over_cmi_min)


@pytest.mark.parametrize(
    ("unit", "norm", "without_label", "expected"),
    [
        ("helps", "not", "not", COMPACT),
        ("helps", "worse", "open", COMPACT),
        ("helps", "not", "helps", OPEN),
        ("helps", "open", "not", OPEN),
        ("helps", "one task against", "not", OPEN),
        ("helps", "helps", "not", OPEN),
        ("not", "helps", "not", LENGTH),
        ("worse", "helps", "helps", LENGTH),
        ("open", "helps", "helps", OPEN),
        ("not", "not", "helps", WITHOUT_LABEL),
        ("not", "open", "helps", OPEN),
        ("not", "not", "not", OPEN),
    ],
)
def test_a_row_of_the_table(unit, norm, without_label, expected):
    assert read("helps", unit, norm, without_label) == expected


def test_nothing_is_read_where_cmi_min_does_not_help():
    for others in product(CLAIMS, repeat=3):
        assert read("open", *others) == NOT_SEEN
        assert {read(alone, *others) for alone in ("not", "worse", "one task against")} == {ONE_DRAW}
    claims = {"alone": CLAIMS["open"], "above_all": CLAIMS["helps"]}
    assert not label_matters(claims)
    assert label_matters(claims | {"alone": CLAIMS["helps"]})


@pytest.mark.parametrize(("length", "expected"), [(0.89, OPEN), (0.9, COMPACT), (1.1, COMPACT), (1.11, OPEN)])
def test_a_norm_that_is_not_matched_says_nothing_by_its_failure(length, expected):
    assert read("helps", "helps", "not", "not", length) == expected
    assert read("helps", "not", "helps", "not", length) == LENGTH


def test_the_readings_are_in_the_words_of_the_page():
    page = text(page_of("mechanism"))
    for words in (ONE_DRAW, NOT_SEEN, COMPACT, LENGTH, WITHOUT_LABEL, OPEN):
        assert words in page
    assert "within 10 % of the length under `cmi_min`" in page
    assert (mechanism_reading.LEAST_MATCHED, mechanism_reading.MOST_MATCHED) == (0.9, 1.1)
