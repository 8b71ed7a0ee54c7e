"""The rules of `kd-visible` and `kd-confident`, fixed as code before their results: checks and readings."""

import pytest

from src.study.claims.verdicts import CANNOT_BE_SEEN, CANNOT_BE_TOLD, DOES_NOT_HOLD, HOLDS, OPPOSITE
from tests.support.kd_visible_reading import (
    DOES_NOT,
    HOLDS_CALIBRATED,
    HOLDS_ONLY,
    NOT_MOVED,
    NOT_SEEN,
    OPEN,
    reading,
)
from tests.support.study_numbers import page_of, text


def read(
    kd_max: str,
    both: str = CANNOT_BE_TOLD,
    seen: str = HOLDS,
    gain: float = 0.02,
    on_train: float = 1.5,
    calibrated: float | None = 1.1,
) -> str:
    verdicts = {"kd_max": kd_max, "both_calibrated": both, "seen": seen}
    found = {name: {"verdict": verdict, "difference": gain} for name, verdict in verdicts.items()}
    return reading(found, on_train, calibrated)


@pytest.mark.parametrize(
    ("kd_max", "both", "expected"),
    [
        (DOES_NOT_HOLD, HOLDS, DOES_NOT),
        (OPPOSITE, HOLDS, DOES_NOT),
        (HOLDS, HOLDS, HOLDS_CALIBRATED),
        (HOLDS, DOES_NOT_HOLD, HOLDS_ONLY),
        (HOLDS, CANNOT_BE_TOLD, HOLDS_ONLY),
        (CANNOT_BE_TOLD, HOLDS, OPEN),
        (CANNOT_BE_SEEN, HOLDS, OPEN),
    ],
)
def test_a_row_of_the_table(kd_max, both, expected):
    assert read(kd_max, both) == expected


@pytest.mark.parametrize("kd_max", [HOLDS, DOES_NOT_HOLD, CANNOT_BE_TOLD])
def test_no_claim_is_read_where_a_check_fails(kd_max):
    assert read(kd_max, gain=0.019) == read(kd_max, seen=DOES_NOT_HOLD) == read(kd_max, seen=CANNOT_BE_TOLD) == NOT_SEEN
    assert read(kd_max, on_train=1.49) == read(kd_max, calibrated=1.09) == NOT_MOVED


def test_kd_confident_asks_for_no_rise_of_calibrated_cmi():
    assert read(HOLDS, calibrated=None) == HOLDS_ONLY
    assert read(HOLDS, on_train=1.49, calibrated=None) == NOT_MOVED


@pytest.mark.parametrize("study", ["kd-visible", "kd-confident"])
def test_the_readings_are_in_the_words_of_the_page(study):
    page = text(page_of(study))
    readings = (NOT_SEEN, NOT_MOVED, DOES_NOT, HOLDS_CALIBRATED, HOLDS_ONLY, OPEN)
    assert all(f"| {words} |" in page for words in readings)
