"""The reading of `glue-minilm-epochs`, fixed as code before its results: each row of the page's table."""

import pytest

from src.study.claims.verdicts import CANNOT_BE_TOLD, DOES_NOT_HOLD, HOLDS, OPPOSITE
from tests.support.epochs_reading import (
    ALSO_OVER_SIX,
    CONTRADICTED,
    NOT_CONFIRMED,
    NOT_SHOWN_OVER_SIX,
    OPEN,
    OVER_SIX_EPOCHS,
    TOO_LONG,
    reading,
)
from tests.support.study_numbers import page_of, text

GROWS = {"pooled": HOLDS, "interaction": HOLDS, "shorter": HOLDS} | dict.fromkeys(OVER_SIX_EPOCHS, DOES_NOT_HOLD)


def read(changed: dict[str, str], p: float = 0.016) -> str:
    return reading({name: {"verdict": verdict, "p": p} for name, verdict in (GROWS | changed).items()})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"pooled": OPPOSITE}, CONTRADICTED),
        ({"pooled": DOES_NOT_HOLD}, NOT_CONFIRMED),
        ({"pooled": CANNOT_BE_TOLD}, OPEN),
        ({"epochs_6": HOLDS}, ALSO_OVER_SIX),
        ({"best_8": HOLDS}, ALSO_OVER_SIX),
        ({"best_12": HOLDS, "best_8": OPPOSITE}, ALSO_OVER_SIX),
        ({}, TOO_LONG),
        ({"epochs_6": OPPOSITE}, TOO_LONG),
        ({"epochs_6": CANNOT_BE_TOLD}, NOT_SHOWN_OVER_SIX),
        ({"interaction": CANNOT_BE_TOLD}, NOT_SHOWN_OVER_SIX),
        ({"shorter": CANNOT_BE_TOLD}, NOT_SHOWN_OVER_SIX),
    ],
)
def test_a_row_of_the_table(changed, expected):
    assert read(changed) == expected


@pytest.mark.parametrize("name", OVER_SIX_EPOCHS)
def test_one_of_three_claims_needs_a_p_of_0_05_over_3(name):
    assert read({name: HOLDS}, p=0.017) == NOT_SHOWN_OVER_SIX


@pytest.mark.parametrize("pooled", [OPPOSITE, DOES_NOT_HOLD, CANNOT_BE_TOLD])
def test_nothing_is_read_where_the_pooled_difference_does_not_hold(pooled):
    assert read({"pooled": pooled, "best_8": HOLDS}) == read({"pooled": pooled})


def test_the_readings_are_in_the_words_of_the_page():
    page = text(page_of("glue-minilm-epochs"))
    readings = (CONTRADICTED, NOT_CONFIRMED, OPEN, ALSO_OVER_SIX, TOO_LONG, NOT_SHOWN_OVER_SIX)
    assert all(f"| {words} |" in page for words in readings)
