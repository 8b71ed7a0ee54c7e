"""The rules of `kd-visible`, fixed as code before its results: the weight of its pilot, its checks and its reading."""

import pandas as pd
import pytest

from src.study.claims.verdicts import CANNOT_BE_SEEN, CANNOT_BE_TOLD, DOES_NOT_HOLD, HOLDS, OPPOSITE
from src.study.named.overrides import study_params
from tests.support.kd_visible_reading import (
    DOES_NOT,
    HOLDS_CALIBRATED,
    HOLDS_ONLY,
    LAST,
    NOT_MOVED,
    NOT_SEEN,
    OPEN,
    WEIGHTS,
    cmi_ratio,
    reading,
    rose_on_selection,
    score_lost,
    weight_of_pilot,
)
from tests.support.study_numbers import committed, page_of, text

GIVEN = {"ce": (0.1, 0.80), "mcmi_1": (0.15, 0.80), "mcmi_2": (0.21, 0.78), "mcmi_3": (0.4, 0.70)}


def histories(first: dict[str, tuple[float, float]], second: dict[str, tuple[float, float]] = GIVEN) -> dict:
    """Two tasks. In every epoch but the last one, CMI and score are 1."""
    return {
        task: pd.DataFrame(
            {"arm": arm, "seed": 100, "epoch": epoch}
            | dict.fromkeys(("train_class_cmi", "selection_accuracy"), 1.0)
            | (dict(zip(("train_class_cmi", "selection_accuracy"), values, strict=True)) if epoch == LAST else {})
            for arm, values in arms.items()
            for epoch in (1, LAST)
        )
        for task, arms in {"one": first, "two": second}.items()
    }


def test_the_ratio_of_cmi_is_a_geometric_mean_and_the_lost_score_a_plain_one():
    """sqrt(2.1 x 1.2) = 1.5875; (2 + 6) / 2 = 4 points."""
    found = histories(GIVEN | {"mcmi_2": (0.12, 0.74)})
    assert cmi_ratio(found, "mcmi_2") == pytest.approx(1.5875, abs=1e-4)
    assert score_lost(found, "mcmi_2") == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, -0.5),
        ({"mcmi_1": (0.28, 0.80)}, -0.25),
        ({"mcmi_1": (0.28, 0.60)}, -0.5),
        ({"mcmi_2": (0.18, 0.78), "mcmi_3": (0.4, 0.80)}, -1.0),
        ({"mcmi_2": (0.18, 0.78)}, None),
    ],
)
def test_the_pilot_takes_the_weight_nearest_to_0_that_passes(changed, expected):
    assert weight_of_pilot(histories(GIVEN | changed)) == expected


def test_the_weights_are_those_of_the_pilot():
    arms = study_params("kd-visible-pilot").finetune.arms
    assert {arm: arms[arm].cmi_weight for arm in WEIGHTS} == WEIGHTS
    training = study_params("kd-visible-pilot").finetune.training
    assert training.plain_epochs + training.epochs == LAST


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
