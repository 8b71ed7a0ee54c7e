"""The CSV files for `dvc plots`, as dvc.yaml lists them: a folder per plot, a file per task (and arm)."""

from pathlib import Path

import numpy as np
import pandas as pd

from src.core.metrics import reliability
from src.study.drawing.panels import by_arm
from src.study.records.task_records import TaskRecords, measured_spaces
from src.study.statistics.digits import written_table
from src.system.files import write_csv

CONFUSION_ROWS = 2000  # DVC's template counts raw rows; a large test split would fill the repository


def write_plot_data(records: TaskRecords, arms: pd.DataFrame, runs: pd.DataFrame, ece_bins: int, root: Path) -> None:
    """Write the files of one task into folders of `root`.

    Args:
        arms, runs: the lines of this task in the study's tables.
    """
    task = records.task["task"]
    scores = arms[arms["metric"] == records.primary].rename(columns={"mean": "score"})
    scores.insert(0, "run", scores["role"] + " " + scores["arm"])
    write_csv(root / f"scores/{task}.csv", scores[["run", "score", "low", "high", "n"]])
    points = runs.rename(columns={records.primary: "score"})
    columns = [*(f"{space}_cmi" for space in measured_spaces(runs)), "score", "role", "arm", "seed"]
    write_csv(root / f"cmi_and_score/{task}.csv", points[columns])
    for (role, arm), history in by_arm(records.history).items():
        write_csv(root / f"epochs/{task}-{role}-{arm}.csv", written_table(_epochs(history, records.primary)))
    names = np.array(records.label_names)
    for (role, arm), (truth, logits) in records.pooled_logits("test").items():
        table = pd.DataFrame(reliability(truth, logits, ece_bins))
        write_csv(root / f"reliability/{task}-{role}-{arm}.csv", written_table(table[table["count"] > 0]))
        rows = pd.DataFrame({"label": names[truth], "prediction": names[logits.argmax(axis=1)]}).head(CONFUSION_ROWS)
        write_csv(root / f"confusion/{task}-{role}-{arm}.csv", rows)


def _epochs(history: pd.DataFrame, primary: str) -> pd.DataFrame:
    """The means over seeds of an arm's epochs."""
    measures = history.rename(columns={f"selection_{primary}": "selection_score"})
    columns = ["selection_score", "selection_class_cmi", "selection_feature_cmi"]
    return measures.groupby("epoch")[columns].mean().reset_index()
