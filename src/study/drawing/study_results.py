"""The results of a study from `collect` and `evaluate`, read for its figures and its report."""

from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from src.params import Params, Role
from src.study import METRICS_FOLDER
from src.study.claims.claims import load_claims
from src.study.records.task_records import TaskRecords, load_records
from src.system.files import read_csv

# Columns of the tables that hold text, even if every value looks like a number.
TEXT_COLUMNS = ("task", "role", "family", "arm", "against", "metric", "claim", "left_out")


@dataclass(frozen=True)
class Tables:
    """The tables of metrics/<study>/tables/ (docs/results.md)."""

    runs: pd.DataFrame
    arms: pd.DataFrame
    trials: pd.DataFrame
    comparisons: pd.DataFrame
    over_tasks: pd.DataFrame
    moved: pd.DataFrame


@dataclass(frozen=True)
class StudyResults:
    """A study's params, its tables, its claims (contrasts among them) and warnings, and its records by task."""

    params: Params
    tables: Tables
    claims: list[dict[str, Any]]
    warnings: list[str]
    records: dict[str, TaskRecords]

    def chosen(self, role: Role) -> dict[tuple[str, str], str]:
        """The trial that stands for each family, by task and family."""
        trials = self.tables.trials[(self.tables.trials["role"] == role) & self.tables.trials["chosen"].astype(bool)]
        return dict(zip(zip(trials["task"], trials["family"], strict=True), trials["arm"], strict=True))

    @property
    def primary(self) -> dict[str, str]:
        """The primary metric of each task."""
        return {task: records.primary for task, records in self.records.items()}


def both_ways(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons, and below them each one turned round."""
    turned = comparisons.rename(columns={"arm": "against", "against": "arm", "low": "high", "high": "low"})
    turned[["difference", "low", "high"]] *= -1
    return pd.concat([comparisons, turned])


def load_results(params: Params) -> StudyResults:
    """Read the results of a study."""
    metrics = METRICS_FOLDER / params.study
    names = [table.name for table in fields(Tables)]
    tables = {name: read_csv(metrics / f"tables/{name}.csv", text=TEXT_COLUMNS) for name in names}
    records = {task: load_records(params.study, task) for task in params.tasks}
    return StudyResults(params, Tables(**tables), *load_claims(metrics / "claims.json"), records)
