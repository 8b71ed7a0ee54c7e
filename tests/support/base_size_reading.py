"""The checks of the studies `glue-mpnet-full` and `smollm2-glue`: the rules of their pages, fixed before their runs."""

import pandas as pd

from src.study.claims.moved import CMI

FLOORS = {"rte": 0.63, "mrpc": 0.84, "cola": 0.49}  # of the first metric of `ce`, for glue-mpnet-full
FIRST_METRICS = {"rte": "accuracy", "mrpc": "f1", "cola": "matthews"}


def tasks_below_floor(arms: pd.DataFrame) -> list[str]:
    """The tasks on which plain fine-tuning is below its floor. Then no claim is read.

    Args:
        arms: the study's arms.csv.
    """
    plain = arms[(arms["role"] == "teacher") & (arms["arm"] == "ce")].set_index(["task", "metric"])["mean"]
    return [task for task, floor in FLOORS.items() if plain[task, FIRST_METRICS[task]] < floor]


def claims_about_cmi(moved: pd.DataFrame) -> set[str]:
    """The claims whose teachers' feature CMI moved on train rows in the right direction, with the whole interval.

    Args:
        moved: the study's moved.csv.
    """
    lines = moved[(moved["role"] == "teacher") & (moved["split"] == "train") & moved["task"].isna()]
    found = lines[lines["measure"] == CMI].set_index("claim")
    fell, rose = found["high"] < 1, found["low"] > 1
    return {name for name, moved_right in {"alone": fell, "kd": rose, "kd_max": rose}.items() if moved_right[name]}
