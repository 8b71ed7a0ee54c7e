"""Scores that others published on GLUE, beside those of a study, and whether the two can be compared.

A key says split and metric: scores of GLUE's test server are of other rows than ours. Of MRPC and QQP, which have two
metrics, a score is here only where its source says which it is.
"""

from dataclasses import dataclass

import pandas as pd

from src.glue_data.official import OFFICIAL_ROWS
from src.params import ModelSource, Role
from src.study.drawing.study_results import StudyResults

DISTILBERT_README = "README of DistilBERT in transformers' examples"
MINILM_README = "README of MiniLM in microsoft/unilm"
TORCHDISTILL_README = "README of yoshitomo-matsubara/torchdistill"
MOST = 0.95  # of the train rows: what selection takes leaves fewer, and a run on fewer is another


@dataclass(frozen=True)
class Published:
    """A model's metric and score in per cent by task, as one source has them."""

    model: str
    hub_name: str
    role: Role
    split: str
    source: str
    scores: dict[str, tuple[str, float]]
    teacher: str = ""  # where it was distilled


def _scores(*values: float | None) -> dict[str, tuple[str, float]]:
    """Of CoLA (Matthews), and SST-2, MNLI, QNLI, RTE and WNLI (accuracy), which have no other metric."""
    tasks = ("cola", "sst2", "mnli", "qnli", "rte", "wnli")
    metrics = {task: "matthews" if task == "cola" else "accuracy" for task in tasks}
    given = zip(metrics.items(), values, strict=True)
    return {task: (metric, value) for (task, metric), value in given if value is not None}


BERT, DISTILBERT = "google-bert/bert-base-uncased", "distilbert/distilbert-base-uncased"
PUBLISHED = [
    Published(
        "BERT-base-uncased",
        BERT,
        "teacher",
        "validation",
        DISTILBERT_README,
        _scores(56.3, 92.7, 84.7, 91.8, 69.3, 53.5),
    ),
    Published(
        "DistilBERT-base-uncased",
        DISTILBERT,
        "student",
        "validation",
        DISTILBERT_README,
        _scores(51.3, 91.3, 82.1, 89.2, 59.9, 56.3),
    ),
    Published(
        "MiniLM-L6-H384",
        "microsoft/MiniLM-L6-H384-uncased",
        "teacher",
        "validation",
        MINILM_README,
        _scores(47.5, 91.5, 83.3, 90.5, 68.8, None),
    ),
    Published(
        "BERT-base",
        BERT,
        "teacher",
        "test_server",
        TORCHDISTILL_README,
        _scores(51.1, 94.1, 84.2, 91.0, 66.7, 65.8) | {"mrpc": ("f1", 86.8), "qqp": ("f1", 71.4)},
    ),
    Published(
        "BERT-base distilled from BERT-large",
        BERT,
        "student",
        "test_server",
        TORCHDISTILL_README,
        _scores(57.0, 93.7, 85.9, 90.7, 66.7, 65.1) | {"mrpc": ("f1", 87.5), "qqp": ("f1", 72.8)},
        teacher="BERT-large",
    ),
]
ARMS: dict[Role, str] = {"teacher": "ce", "student": "plain"}


def beside_published(results: StudyResults) -> pd.DataFrame:
    """A row for each published score on a task of the study: its key, ours in the same metric, and what differs.

    A task with folds tests its train split, of which nobody publishes scores.
    """
    whole = [task for task in results.params.tasks if results.params.folds_of(task) == 1]
    settings = {task: results.params.task(task) for task in whole}
    parts = {task: own.part for task, own in settings.items() if own.source == "glue" and own.part is not None}
    means = results.tables.arms.set_index(["task", "role", "arm", "metric"])["mean"]
    rows = [
        _row(results, means, task, part, entry)
        for task, part in parts.items()
        for entry in PUBLISHED
        if part in entry.scores
    ]
    return pd.DataFrame(rows)


def _row(results: StudyResults, means: pd.Series, task: str, part: str, entry: Published) -> dict[str, str]:
    metric, score = entry.scores[part]
    arm, test_rows = ARMS[entry.role], len(results.records[task].labels["test"])
    ours, reasons = means.get((task, entry.role, arm, metric)), _differences(results, task, part, entry)
    split = "validation" if test_rows == OFFICIAL_ROWS[part][1] else f"validation_{test_rows}_rows"
    return {
        "task": f"`{task}`",
        "published": f"{entry.model} ({entry.source})",
        "its key": f"`{entry.split}_{metric}`",
        "its score": f"{score:.1f}",
        "our arm": f"{entry.role} `{arm}`",
        "our key": f"`{split}_{metric}`",
        "our score": "" if ours is None else f"{100 * ours:.1f}",
        "comparable": f"no: {', '.join(reasons)}" if reasons else "yes",
    }


def _differences(results: StudyResults, task: str, part: str, entry: Published) -> list[str]:
    """Why the two scores cannot be compared; nothing where they can."""
    params, records = results.params, results.records[task]
    model: ModelSource = getattr(params.models, entry.role)
    rows, (train_rows, test_rows) = records.task["splits"]["train"]["rows"], OFFICIAL_ROWS[part]
    found = {
        "another split": entry.split != "validation",
        "another model": (model.name, model.layers) != (entry.hub_name, None),
        f"distilled from {entry.teacher}": bool(entry.teacher),
        f"{rows} of {train_rows} train rows": rows < MOST * train_rows,
        "part of the split": len(records.labels["test"]) != test_rows,
    }
    return [reason for reason, holds in found.items() if holds]


def as_markdown(table: pd.DataFrame) -> str:
    """The table for a page of Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
