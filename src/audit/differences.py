"""The differences between redone runs and their records, compared with the spread over seeds.

docs/take-away.md, "Audits", has the rule for a surprise.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from src.audit.sameness import RUN
from src.params import Role
from src.runs import RunName
from src.study.records.scores import MeasuredTask
from src.study.records.task_records import TaskRecords

JUDGED = ("nll", "class_cmi", "feature_cmi")  # besides the task's first metric
LIMIT = 3.0  # spreads: the root mean square over the redone runs


@dataclass(frozen=True)
class RunDifference:
    """A redone run beside its record: test logits, predicted labels, and metrics by name.

    `largest_logit` and `rms_logit` measure the differences over rows and classes. `changed_labels` is a share of the
    test rows. `metrics` has redone minus recorded values.
    """

    run: RunName
    largest_logit: float
    rms_logit: float
    changed_labels: float
    epochs: tuple[int, int]
    metrics: dict[str, float]

    def content(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"run": str(self.run), "epochs": list(self.epochs)}


def with_redone(recorded: TaskRecords, redone: TaskRecords) -> TaskRecords:
    """The records of a task with redone runs in place of the recorded ones.

    The tables keep the columns of the records. The metrics of a second test set are replaced too. Its intervals need
    sums of products over rows. These stay as recorded, because records keep no rows of that set.
    """
    runs = _replaced(recorded.runs, redone.runs, RUN)
    predictions = _replaced(recorded.predictions, redone.predictions, [*RUN, "split", "row_id"])
    return replace(recorded, runs=runs, predictions=predictions, also_test=_also_test(recorded, redone))


def run_differences(
    runs: list[RunName], recorded: TaskRecords, redone: TaskRecords, before: MeasuredTask, after: MeasuredTask
) -> list[RunDifference]:
    """The differences of each redone run.

    Args:
        before: the task as recorded.
        after: the same with the redone runs in place.
    """
    theirs, ours = recorded.logits("test"), redone.logits("test")
    epochs = [_by_run(records.runs)["best_epoch"] for records in (recorded, redone)]
    found = []
    for run in runs:
        key = (run.role, run.arm, run.seed)
        kept, made = theirs[key].astype(float), ours[key].astype(float)
        gaps, changed = np.abs(made - kept), made.argmax(axis=1) != kept.argmax(axis=1)
        line = _line(before, run)
        metrics = {name: after.metrics[name].of_runs[line] - own.of_runs[line] for name, own in before.metrics.items()}
        best = (int(epochs[0][key]), int(epochs[1][key]))
        logits = float(gaps.max()), float((gaps**2).mean() ** 0.5)
        plain = {name: float(value) for name, value in metrics.items() if np.isfinite(value)}
        found.append(RunDifference(run, *logits, float(changed.mean()), best, plain))
    return found


def spread_over_seeds(measured: MeasuredTask, metric: str, role: Role, arm: str) -> float | None:
    """The standard deviation of an arm's metric over its seeds; None with fewer than two."""
    lines = measured.lines[role, arm]
    return float(measured.metrics[metric].of_runs[lines].std(ddof=1)) if len(lines) > 1 else None


def spread_to_judge_by(measured: MeasuredTask, metric: str, role: Role, arm: str, rows: int) -> float | None:
    """The largest of three: the arm's own spread, the spread of all arms of its role, and one test row.

    The last two are for arms with little or no spread of their own, such as an arm whose runs all predict one label.
    """
    if metric not in measured.metrics or (own := spread_over_seeds(measured, metric, role, arm)) is None:
        return None
    of_role = [spread_over_seeds(measured, metric, *other) for other in measured.lines if other[0] == role]
    known = np.array([spread for spread in of_role if spread is not None])
    return max(own, float((known**2).mean() ** 0.5), 1 / rows)


def in_spreads(
    differences: list[RunDifference], before: MeasuredTask, after: MeasuredTask, rows: int
) -> dict[str, float]:
    """For each judged metric, the root mean square over the runs of difference / spread.

    The spread is computed with the recorded runs and with the redone ones, and the smaller one counts. Otherwise a run
    that is far off would widen its own spread. The result is empty if the records have one seed, which has no spread.
    """
    found: dict[str, float] = {}
    for metric in dict.fromkeys((before.primary, *JUDGED)):
        ratios = []
        for difference in differences:
            role, arm, own = difference.run.role, difference.run.arm, difference.metrics.get(metric)
            spreads = [spread_to_judge_by(measured, metric, role, arm, rows) for measured in (before, after)]
            if own is not None and (known := [spread for spread in spreads if spread is not None]):
                ratios.append(own / min(known))
        if ratios:
            found[metric] = float(np.mean(np.square(ratios)) ** 0.5)
    return found


def surprises(ratios: Mapping[str, float]) -> list[str]:
    """A sentence for each metric that differs by more than the limit."""
    return [
        f"{metric} differs by {ratio:.1f} spreads over seeds, more than the limit of {LIMIT:g}"
        for metric, ratio in ratios.items()
        if ratio > LIMIT
    ]


def _replaced(recorded: pd.DataFrame, redone: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """The recorded table in its order and with its columns, with redone rows where there are any."""
    both = pd.concat([redone.reindex(columns=recorded.columns), recorded])
    both = both.drop_duplicates(key).set_index(key)
    return both.reindex(pd.MultiIndex.from_frame(recorded[key])).reset_index()[list(recorded.columns)]


def _also_test(recorded: TaskRecords, redone: TaskRecords) -> dict[str, Any] | None:
    if recorded.also_test is None or redone.also_test is None:
        return recorded.also_test
    lines = {key: line for line, key in enumerate(_by_run(recorded.runs).index)}
    metrics = {}
    for name, kept in recorded.also_test["metrics"].items():
        values = list(kept["of_runs"])
        made = redone.also_test["metrics"].get(name, {}).get("of_runs", [])
        for key, value in zip(_by_run(redone.runs).index, made, strict=False):
            values[lines[key]] = value
        metrics[name] = kept | {"of_runs": values}
    return recorded.also_test | {"metrics": metrics}


def _by_run(runs: pd.DataFrame) -> pd.DataFrame:
    return runs.set_index(RUN)


def _line(measured: MeasuredTask, run: RunName) -> int:
    lines = measured.lines[run.role, run.arm]
    return next(line for line in lines if measured.runs["seed"].iloc[line] == run.seed)
