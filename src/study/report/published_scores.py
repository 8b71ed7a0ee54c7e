"""Scores that others published on GLUE's validation splits, and the scores of a study that can be compared with them.

Two scores can be compared if model, metric and test rows are the same, and the study has 95 % of the train rows.
docs/published.md also lists scores of GLUE's test server, which is never the test split of a study.
"""

import itertools
from dataclasses import dataclass

import pandas as pd

from src.arms import settings_of
from src.glue_data.official import OFFICIAL_ROWS
from src.params import Role
from src.study.drawing.study_results import StudyResults
from src.system.printing import markdown_head, markdown_row

FEWEST_TRAIN_ROWS = 0.95  # share of the split: selection takes some rows
ARMS: dict[Role, str] = {"teacher": "ce", "student": "plain"}  # trained as the published models were


@dataclass(frozen=True)
class Published:
    """Scores of one model in per cent by task: Matthews for CoLA, accuracy for all others."""

    model: str
    hub_name: str
    role: Role
    source: str
    scores: dict[str, float]


PUBLISHED = [
    Published(
        "BERT-base-uncased",
        "google-bert/bert-base-uncased",
        "teacher",
        "README of DistilBERT in transformers' examples",
        {"cola": 56.3, "sst2": 92.7, "mnli": 84.7, "qnli": 91.8, "rte": 69.3, "wnli": 53.5},
    ),
    Published(
        "DistilBERT-base-uncased",
        "distilbert/distilbert-base-uncased",
        "student",
        "README of DistilBERT in transformers' examples",
        {"cola": 51.3, "sst2": 91.3, "mnli": 82.1, "qnli": 89.2, "rte": 59.9, "wnli": 56.3},
    ),
    Published(
        "MiniLM-L6-H384",
        "microsoft/MiniLM-L6-H384-uncased",
        "teacher",
        "README of MiniLM in microsoft/unilm",
        {"cola": 47.5, "sst2": 91.5, "mnli": 83.3, "qnli": 90.5, "rte": 68.8},
    ),
]


def comparable_scores(results: StudyResults) -> pd.DataFrame:
    """A row for each published score that can be compared with one of the study, both in per cent."""
    means = results.tables.arms.set_index(["task", "role", "arm", "metric"])["mean"]
    rows = []
    for task, entry in itertools.product(results.params.tasks, PUBLISHED):
        part, arm = results.params.task(task).part or "", ARMS[entry.role]
        metric = "matthews" if part == "cola" else "accuracy"
        ours = means.get((task, entry.role, arm, metric))
        if ours is not None and part in entry.scores and _is_alike(results, task, entry):
            scores = {"published": f"{entry.scores[part]:.1f}", "ours": f"{100 * ours:.1f}"}
            names = {"task": task, "model": entry.model, "source": entry.source, "metric": metric, "our arm": arm}
            rows.append(names | scores)
    return pd.DataFrame(rows)


def _is_alike(results: StudyResults, task: str, entry: Published) -> bool:
    """Whether the study has the model, the test rows and enough of the train rows."""
    settings, records, models = results.params.task(task), results.records[task], results.params.models
    model = models.teacher if entry.role == "teacher" else models.student
    train_rows, test_rows = OFFICIAL_ROWS[settings.part or ""]
    learnt = settings_of(results.params, task, entry.role, ARMS[entry.role]).training.train_share
    return (
        settings.source == "glue"
        and (model.name, model.layers) == (entry.hub_name, None)
        and len(records.labels["test"]) == test_rows
        and learnt * records.task["splits"]["train"]["rows"] >= FEWEST_TRAIN_ROWS * train_rows
    )


def as_markdown(table: pd.DataFrame) -> str:
    """The table for a page of Markdown."""
    return "\n".join([markdown_head(table.columns), *map(markdown_row, table.to_numpy().tolist())])
