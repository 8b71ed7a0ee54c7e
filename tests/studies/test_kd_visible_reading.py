"""The rules of `kd-visible`, fixed as code before its results: the weight of its pilot, its checks and its reading."""

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
    rose_on_selection,
)
from tests.support.study_numbers import committed, page_of, text


def read(
    kd_max: str,
    both: str = CANNOT_BE_TOLD,
    seen: str = HOLDS,
    gain: float = 0.02,
    ratio: float = 1.5,
    rose: bool = True,
) -> str:
    verdicts = {"kd_max": kd_max, "both_calibrated": both, "seen": seen}
    found = {name: {"verdict": verdict, "difference": gain} for name, verdict in verdicts.items()}
    return reading(found, ratio, rose)


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
    assert read(kd_max, ratio=1.49) == read(kd_max, rose=False) == NOT_MOVED


def test_whether_cmi_rose_on_selection_rows_by_the_table_of_what_moved():
    """As in the class form, where the teachers of `kd_max_1` have the interval -0.044 to +0.013 on selection."""
    moved = committed("glue-minilm-class", "moved").replace({"claim": {"kd_max_1": "kd_max"}})
    assert not rose_on_selection(moved)
    moved.loc[moved["split"] == "selection", "low"] = 0.001
    assert rose_on_selection(moved)


def test_the_readings_are_in_the_words_of_the_page():
    page = text(page_of("kd-visible"))
    readings = (NOT_SEEN, NOT_MOVED, DOES_NOT, HOLDS_CALIBRATED, HOLDS_ONLY, OPEN)
    assert all(f"| {words} |" in page for words in readings)
