"""The checks of `glue-mpnet-full` and `smollm2-glue`, fixed as code before their results."""

import pandas as pd
import pytest

from src.study.claims.moved import CMI
from tests.support.base_size_reading import FLOORS, claims_about_cmi, tasks_below_floor
from tests.support.study_numbers import FIXED, Arm, committed, compared, page_of, rows, text

PAGE = page_of("glue-mpnet-full")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [((0.63, 0.84, 0.49), []), ((0.629, 0.84, 0.49), ["rte"]), ((0.7, 0.839, 0.489), ["mrpc", "cola"])],
)
def test_the_tasks_below_their_floor(scores, expected):
    """Other metrics and arms do not count."""
    lines = [(*first, "ce", mean) for first, mean in zip(FLOORS, scores, strict=True)]
    lines += [(task, "auc", "ce", 0.1) for task, _ in FLOORS] + [(*first, "cmi_min", 0.1) for first in FLOORS]
    arms = pd.DataFrame(lines, columns=["task", "metric", "arm", "mean"]).assign(role="teacher")
    assert tasks_below_floor(arms) == expected


def test_small_models_of_few_rows_are_below_all_floors():
    assert tasks_below_floor(committed(FIXED, "arms")) == ["rte", "mrpc", "cola"]


def test_the_claims_whose_cmi_moved():
    """In the fixed study: 0.40 to 0.65 for `cmi_min`, and 1.44 to 2.06 for `cmi_max`."""
    moved = committed(FIXED, "moved")
    assert claims_about_cmi(moved) == {"alone", "kd", "kd_max"}
    on_train = (moved["split"] == "train") & (moved["measure"] == CMI) & moved["task"].isna()
    moved.loc[on_train & (moved["claim"] == "kd_max"), "low"] = 0.999
    moved.loc[on_train & (moved["claim"] == "alone"), "high"] = 1.001
    assert claims_about_cmi(moved) == {"kd"}


@pytest.mark.parametrize(("task", "metric"), FLOORS)
def test_the_page_has_the_floors(task, metric):
    assert rows(PAGE, f"`{task}`")[0][2] == f"{100 * FLOORS[task, metric]:.0f}"


@pytest.mark.parametrize(
    ("study", "tasks"),
    [("glue-mpnet-full", ("rte", "mrpc", "cola", "sst2")), ("smollm2-glue", ("sst2", "cola", "mrpc"))],
)
def test_the_smallest_visible_effect_that_is_told_beforehand(study, tasks):
    """With the errors of `glue-minilm-fixed` on the tasks of the study."""
    visible = compared(Arm(FIXED, "teacher", "cmi_min"), "ce", tasks=tasks).smallest_visible(0.95)
    assert f"the smallest visible effect of `alone` is {100 * visible:.1f} points." in text(page_of(study))
