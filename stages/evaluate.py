"""Evaluate the study: every run on test, every arm's mean, and the paired comparisons of arms."""

import pandas as pd

from src.arms import pairs_to_compare
from src.errors import stage
from src.files import new_folder, write_csv, write_json
from src.params import load_params
from src.study.records import METRICS_FOLDER, load_records
from src.study.summary import arms_table, comparisons_table, evaluate_task, summary, wins_table


@stage
def main() -> None:
    params = load_params()
    settings = params.evaluate

    evaluations = [evaluate_task(load_records(params.study, task), settings) for task in params.tasks]
    arms = arms_table(evaluations, settings.confidence)
    comparisons = comparisons_table(evaluations, pairs_to_compare(params), settings.confidence)
    wins = wins_table(comparisons, {evaluation.task: evaluation.primary for evaluation in evaluations})

    folder = METRICS_FOLDER / params.study
    with new_folder(folder / "tables") as tables:
        write_csv(tables / "runs.csv", pd.concat([evaluation.per_run for evaluation in evaluations]))
        write_csv(tables / "arms.csv", arms)
        write_csv(tables / "comparisons.csv", comparisons)
        write_csv(tables / "wins.csv", wins)
    write_json(folder / "summary.json", summary(arms, comparisons, wins))

    for evaluation in evaluations:
        shown = arms[(arms["task"] == evaluation.task) & (arms["metric"] == evaluation.primary)]
        print(f"\n{evaluation.task}: {evaluation.primary} on test")
        print(shown[["role", "arm", "mean", "std", "low", "high", "n"]].to_string(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
