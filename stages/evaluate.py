"""Evaluate the study: scores of every run on test, means, paired comparisons, verdicts on claims and contrasts."""

import sys
from typing import Any

import pandas as pd

from src.params import Params, load_params
from src.study import METRICS_FOLDER
from src.study.claims.claims import claims_content, with_holm
from src.study.claims.claims_in_words import verdict_in_words
from src.study.claims.families import chosen_trials, selection_scores
from src.study.claims.judging import judged_tasks
from src.study.claims.majority import cluster_warnings, majority_warnings, one_label_warnings
from src.study.claims.moved import Measures, manipulation, measures_of, moved_table
from src.study.claims.tables import (
    ComparedTask,
    arms_table,
    compared_task,
    headline,
    over_tasks_table,
    trials_table,
)
from src.study.records.recorded_runs import check_runs
from src.study.records.scores import measured_task
from src.study.records.task_records import load_records
from src.study.statistics.digits import written_content, written_table
from src.system.errors import stage
from src.system.files import new_folder, write_csv, write_json


def evaluate(params: Params) -> None:
    """Write the tables, the summary and the verdicts of a study from its records."""
    confidence = params.evaluate.confidence
    compared, measures, trials, warnings = measured_tasks(params)
    primary = {name: task.measured.primary for name, task in compared.items()}
    arms = written_table(pd.concat([arms_table(task, confidence) for task in compared.values()]))
    comparisons, found = judged_tasks(params, compared)
    claims = written_content(with_holm([*found.values()]))
    moved = written_table(moved_table(manipulation(params, compared, measures), params.evaluate.claims, claims))

    folder = METRICS_FOLDER / params.study
    with new_folder(folder / "tables") as tables:
        write_csv(tables / "runs.csv", written_table(pd.concat([task.measured.table() for task in compared.values()])))
        write_csv(tables / "arms.csv", arms)
        write_csv(tables / "trials.csv", written_table(trials))
        write_csv(tables / "comparisons.csv", written_table(comparisons))
        write_csv(tables / "over_tasks.csv", written_table(over_tasks_table(comparisons, primary, confidence)))
        write_csv(tables / "moved.csv", moved)
    write_json(folder / "summary.json", headline(arms, primary, params.evaluate.families))
    write_json(folder / "claims.json", claims_content(claims, warnings))

    for name, task in compared.items():
        tell_scores(task, arms[(arms["task"] == name) & (arms["metric"] == primary[name])])
    tell_verdicts(params, claims, moved, warnings)


def measured_tasks(
    params: Params,
) -> tuple[dict[str, ComparedTask], dict[str, Measures], pd.DataFrame, list[str]]:
    """Each task's scores and measures of CMI by its name, the trials of all families, and warnings."""
    families = params.evaluate.families
    trials, warnings, compared, measures = [], [], {}, {}
    for name in params.tasks:
        records = load_records(params.study, name)
        check_runs(params, name)
        scores = selection_scores(records)
        chosen = chosen_trials(families, scores)
        trials.append(trials_table(name, families, scores, chosen))
        measured = measured_task(records, params.evaluate.ece_bins)
        compared[name] = compared_task(measured, chosen)
        measures[name] = measures_of(measured, records.history)
        warnings += majority_warnings(records.task, measured.runs)
        warnings += one_label_warnings(measured)
        warnings += cluster_warnings(records)
    return compared, measures, pd.concat(trials), warnings


def tell_scores(task: ComparedTask, arms: pd.DataFrame) -> None:
    """Print the scores of a task's arms in its first metric."""
    measured = task.measured
    means = ", means over folds" if measured.test_ratios is not None else ""
    print(f"\n{measured.name}: {measured.primary} on test{means}")
    print(arms[["role", "arm", "mean", "std", "low", "high", "n"]].to_string(index=False, float_format="%.4f"))


def tell_verdicts(params: Params, claims: list[dict[str, Any]], moved: pd.DataFrame, warnings: list[str]) -> None:
    """Print the verdicts of claims and contrasts, and warnings on stderr."""
    print("", *(verdict_in_words(claim, moved) for claim in claims), sep="\n")
    judged = {claim["name"] for claim in claims}
    if unasked := [name for name in (*params.evaluate.claims, *params.evaluate.contrasts) if name not in judged]:
        print(f"Left out, because nobody voted on these texts: {', '.join(unasked)}.")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


@stage
def main() -> None:
    evaluate(load_params())


if __name__ == "__main__":
    main()
