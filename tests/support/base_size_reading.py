"""The checks of the studies `glue-mpnet-full` and `smollm2-glue`: the rules of their pages, fixed before their runs."""

import pandas as pd

from src.study.claims.moved import CMI
from tests.support.study_numbers import over_tasks

# Of `ce`, for glue-mpnet-full, by task and its first metric.
FLOORS = {("rte", "accuracy"): 0.63, ("mrpc", "f1"): 0.84, ("cola", "matthews"): 0.49}


def tasks_below_floor(arms: pd.DataFrame) -> list[str]:
    """The tasks on which plain fine-tuning is below its floor. Then no claim is read.

    Args:
        arms: the study's arms.csv.
    """
    plain = arms[(arms["role"] == "teacher") & (arms["arm"] == "ce")].set_index(["task", "metric"])["mean"]
    return [task for (task, metric), floor in FLOORS.items() if plain[task, metric] < floor]


def claims_about_cmi(moved: pd.DataFrame) -> set[str]:
    """The claims whose teachers' feature CMI moved on train rows in the right direction, with the whole interval.

    Args:
        moved: the study's moved.csv.
    """
    alone, kd, kd_max = (over_tasks(moved, name, "train", CMI) for name in ("alone", "kd", "kd_max"))
    moved_right = {"alone": alone["high"] < 1, "kd": kd["low"] > 1, "kd_max": kd_max["low"] > 1}
    return {name for name, right in moved_right.items() if right}
