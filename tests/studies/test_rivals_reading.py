"""The reading of `rivals`, fixed as code before its results."""

import pytest

from src.study.claims.verdicts import CANNOT_BE_TOLD, DOES_NOT_HOLD, HOLDS, OPPOSITE
from tests.support.rivals_reading import ABOVE, BETTER, NOT_SEEN, NOTHING_WORTHWHILE, OPEN, readings
from tests.support.study_numbers import page_of, text

CLAIMS = {
    "holds": {"verdict": HOLDS, "p": 0.016, "high": 0.02},
    "just holds": {"verdict": HOLDS, "p": 0.017, "high": 0.02},
    "not": {"verdict": DOES_NOT_HOLD, "p": 0.8, "high": 0.009},
    "worse": {"verdict": OPPOSITE, "p": 0.01, "high": -0.001},
    "tasks disagree": {"verdict": DOES_NOT_HOLD, "p": 0.04, "high": 0.02},
    "open": {"verdict": CANNOT_BE_TOLD, "p": 0.2, "high": 0.02},
}


def read(*kinds: str, alone: str = "holds") -> list[str]:
    found = dict(zip(("alone", *ABOVE), (alone, *kinds), strict=True))
    return [*readings({name: CLAIMS[kind] | {"worthwhile": 0.01} for name, kind in found.items()}).values()]


@pytest.mark.parametrize("alone", ["not", "worse", "tasks disagree", "open"])
def test_no_rival_is_read_where_cmi_min_has_no_gain(alone):
    assert read("holds", "holds", "holds", alone=alone) == []


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("holds", "not", "open"), [BETTER, NOTHING_WORTHWHILE, OPEN]),
        (("worse", "tasks disagree", "just holds"), [NOTHING_WORTHWHILE, OPEN, OPEN]),
        (("just holds", "just holds", "just holds"), [BETTER, BETTER, BETTER]),
        (("just holds", "just holds", "not"), [OPEN, OPEN, NOTHING_WORTHWHILE]),
    ],
)
def test_each_rival_is_read_by_itself(kinds, expected):
    assert read(*kinds) == expected


def test_the_readings_are_in_the_words_of_the_page():
    page = text(page_of("rivals"))
    assert all(f"| {words} |" in page for words in (BETTER, NOTHING_WORTHWHILE, OPEN))
    assert f"the reading is: {NOT_SEEN}." in page
