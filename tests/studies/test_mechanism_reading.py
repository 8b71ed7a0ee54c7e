"""The reading of `mechanism`, fixed as code before its results: each row of the page's table, and its limits."""

import re
from itertools import product

import pandas as pd
import pytest

from src.study.claims.moved import PER_LENGTH
from src.study.claims.verdicts import CANNOT_BE_TOLD, DOES_NOT_HOLD, HOLDS, OPPOSITE
from tests.support.mechanism_reading import (
    COMPACT,
    LENGTH,
    NOT_SEEN,
    OPEN,
    WITHOUT_LABEL,
    label_matters,
    norm_is_matched,
    reading,
    unit_is_compact,
)
from tests.support.study_numbers import cells, committed, text

CLAIMS = {
    "helps": {"verdict": HOLDS, "high": 0.009, "worthwhile": 0.01},
    "not": {"verdict": DOES_NOT_HOLD, "high": 0.009, "worthwhile": 0.01},
    "worse": {"verdict": OPPOSITE, "high": -0.001, "worthwhile": 0.01},
    "open": {"verdict": CANNOT_BE_TOLD, "high": 0.011, "worthwhile": 0.01},
    "no interval": {"verdict": CANNOT_BE_TOLD, "worthwhile": 0.01},
    "one task against": {"verdict": DOES_NOT_HOLD, "high": 0.02, "worthwhile": 0.01},
}
NAMES = ("alone", "unit", "norm", "all", "unit_norm", "above_unit", "above_norm", "above_all")
COMPACT_SEEN = dict(zip(NAMES, ("helps", "helps", "not", "not", "helps", "open", "helps", "helps"), strict=True))
LENGTH_SEEN = dict(zip(NAMES, ("helps", "not", "helps", "open", "worse", "helps", "open", "open"), strict=True))
WITHOUT_LABEL_SEEN = dict(zip(NAMES, ("helps", "not", "not", "helps", "not", "helps", "helps", "not"), strict=True))
DETAILS = "studies/mechanism/details.md"
KINDS = {" does not hold": "open", " holds": "helps", " nothing worthwhile": "not", " is opposite": "worse"}
SEEN = {COMPACT: COMPACT_SEEN, LENGTH: LENGTH_SEEN, WITHOUT_LABEL: WITHOUT_LABEL_SEEN}


def read(kinds: dict[str, str], matched: bool = True, compact: bool = True) -> str:
    return reading({name: CLAIMS[kind] for name, kind in kinds.items()}, matched, compact)


@pytest.mark.parametrize("expected", SEEN)
def test_a_row_of_the_table(expected):
    assert read(SEEN[expected]) == expected


@pytest.mark.parametrize(
    ("row", "changed"),
    [
        (COMPACT, {"norm": "open"}),
        (COMPACT, {"norm": "helps"}),
        (COMPACT, {"norm": "one task against"}),
        (COMPACT, {"all": "open"}),
        (COMPACT, {"all": "helps"}),
        (COMPACT, {"unit_norm": "open"}),
        (COMPACT, {"above_unit": "helps"}),
        (LENGTH, {"unit": "open"}),
        (LENGTH, {"unit": "no interval"}),
        (LENGTH, {"unit_norm": "not"}),
        (LENGTH, {"above_norm": "helps"}),
        (WITHOUT_LABEL, {"norm": "open"}),
        (WITHOUT_LABEL, {"above_all": "helps"}),
        (WITHOUT_LABEL, {"all": "not"}),
    ],
)
def test_what_a_row_needs(row, changed):
    assert read(SEEN[row] | changed) == OPEN


@pytest.mark.parametrize("expected", SEEN)
def test_the_two_checks_that_every_row_needs(expected):
    assert read(SEEN[expected], matched=False) == read(SEEN[expected], compact=False) == OPEN


def test_nothing_is_read_where_cmi_min_does_not_help():
    for alone, *others in product(CLAIMS, repeat=4):
        kinds = LENGTH_SEEN | dict(zip(NAMES, (alone, *others), strict=False))
        assert (read(kinds) == NOT_SEEN) == (alone != "helps")


@pytest.mark.parametrize(
    ("alone", "above_all", "without_label", "expected"),
    [("helps", "helps", "not", True), ("open", "helps", "not", False), ("helps", "helps", "worse", False)],
)
def test_whether_the_label_matters(alone, above_all, without_label, expected):
    kinds = {"alone": alone, "above_all": above_all, "all": without_label}
    assert label_matters({name: CLAIMS[kind] for name, kind in kinds.items()}) == expected


@pytest.mark.parametrize(("short", "expected"), [(7.0, False), (8.2, True), (11.9, True), (13.0, False)])
def test_norm_is_matched_within_a_tenth_over_tasks(short, expected):
    """sqrt(8.2 / 10) is 0.906 and sqrt(11.9 / 10) is 1.091."""
    lengths = {
        "one": {"cmi_min": (5.0, 20.0), "norm": (short, short)},
        "two": {"cmi_min": (3.0, 3.0), "norm": (1.0, 9.0)},
    }
    histories = {
        task: pd.DataFrame(
            {"arm": arm, "seed": seed, "epoch": epoch, "selection_feature_norm": length * (9 - epoch)}
            for arm, of_seeds in arms.items()
            for seed, length in enumerate(of_seeds)
            for epoch in (1, 8)
        )
        for task, arms in lengths.items()
    }
    assert norm_is_matched(histories) == expected


def test_unit_is_compact_by_the_table_of_what_moved():
    """As in the fixed study, where the interval of `cmi_min` is 0.71 to 0.77 over eight tasks."""
    moved = committed("glue-minilm-fixed", "moved").replace({"claim": {"alone": "unit"}})
    assert unit_is_compact(moved)
    moved.loc[moved["measure"] == PER_LENGTH, "high"] = 1.001
    assert not unit_is_compact(moved)


def test_the_readings_are_in_the_words_of_the_page():
    page = text(DETAILS)
    told = [cells(DETAILS, str(number))[-1] for number in range(1, 7)]
    assert told == [NOT_SEEN, OPEN, COMPACT, LENGTH, WITHOUT_LABEL, OPEN]
    assert "within 10 % of the length under `cmi_min`" in page


@pytest.mark.parametrize(("row", "expected"), [(3, COMPACT), (4, LENGTH), (5, WITHOUT_LABEL)])
def test_the_table_of_the_page_names_the_verdicts_that_a_row_needs(row, expected):
    """With these verdicts the code gives the row's reading, and with another verdict of any claim it does not."""
    needed = kinds_in(cells(DETAILS, str(row))[0])
    others = dict.fromkeys(NAMES[1:], "open")
    assert read({"alone": "helps"} | others | needed) == expected
    for name, kind in needed.items():
        changed = "helps" if kind != "helps" else "open"
        assert read({"alone": "helps"} | others | needed | {name: changed}) == OPEN


def kinds_in(outcome: str) -> dict[str, str]:
    """A verdict for each claim that a row of the table names."""
    kinds = {}
    for part in outcome.split("; "):
        [kind] = [kind for words, kind in KINDS.items() if part.endswith(words)]
        kinds |= dict.fromkeys(re.findall("`(\\w+)`", part), kind)
    return kinds
