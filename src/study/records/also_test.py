"""A task's second test set. Its records keep measures only, no rows and no votes.

Data sets with many raters often may not be redistributed. For each metric, tables and intervals need only the values of
all runs and the `products` of `RunValues`, over clusters if rows share texts. Rows and votes cannot be recovered from
these.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from src.data.prepared import load_test_labels
from src.runs import RunResult, split_logits
from src.study.records.task_records import clusters_of, human_shares
from src.study.statistics.clusters import effective_number
from src.study.statistics.intervals import RunValues, products_of
from src.study.statistics.row_values import PredictedRows, best_temperature, metrics_of_runs


def measured_also_test(
    description: dict[str, Any], runs: list[RunResult], selection: pd.DataFrame, ece_bins: int
) -> dict[str, Any]:
    """The measures of runs on their task's second test set, as plain values.

    Args:
        description: the description of the prepared task.
        selection: labels, and raters' shares if there are any. Each run's temperature is fitted on these rows.
    """
    tested = load_test_labels(description["task"], split="also_test")
    rows = [_predicted(run, tested, selection) for run in runs]
    clusters = clusters_of(tested)
    metrics = metrics_of_runs(rows, description["metrics"], ece_bins, clusters)
    plain = {name: _plain(values) for name, values in metrics.items()}
    counts = {"rows": len(tested)} | ({} if clusters is None else {"effective_rows": effective_number(clusters)})
    return {"name": description["also_test"]["name"]} | counts | {"metrics": plain}


def recorded_metrics(content: dict[str, Any]) -> dict[str, RunValues]:
    """The metrics of `measured_also_test` under their names in tables, `<name>_<metric>`."""
    rows = content.get("effective_rows", content["rows"])
    return {f"{content['name']}_{metric}": _read(kept, rows) for metric, kept in content["metrics"].items()}


def _predicted(run: RunResult, tested: pd.DataFrame, selection: pd.DataFrame) -> PredictedRows:
    temperature = best_temperature(_rows(run, "selection", selection))
    return replace(_rows(run, "also_test", tested), best_temperature=temperature)


def _rows(run: RunResult, split: str, labels: pd.DataFrame) -> PredictedRows:
    logits = split_logits(run.logits, split, labels["row_id"].tolist(), split)
    return PredictedRows(labels["label"].to_numpy(), logits, human_shares(labels))


def _plain(values: RunValues) -> dict[str, Any]:
    """A metric as plain values. A metric without an error has no products."""
    kept = {"of_runs": values.of_runs.tolist()}
    return kept if values.of_rows is None else kept | {"products": products_of(values.of_rows).tolist()}


def _read(kept: dict[str, Any], rows: float) -> RunValues:
    of_runs = np.array(kept["of_runs"])
    if "products" not in kept:
        return RunValues(of_runs, has_error=False)
    return RunValues(of_runs, products=np.array(kept["products"]), rows=rows)
