"""Evaluate the study: every run on test, every arm's mean, and the paired comparisons of arms."""

import pandas as pd

from src.arms import pairs_to_compare
from src.errors import stage
from src.files import new_folder, write_csv, write_json
from src.params import load_params
from src.study.records import METRICS_FOLDER, load_records
from src.study.summary import comparisons_table, evaluate_task, over_tasks_table, summary


@stage
def main() -> None:
    params = load_params()
    settings = params.evaluate

    pairs = pairs_to_compare(params)
    tasks = [evaluate_task(load_records(params.study, task), settings, pairs) for task in params.tasks]
    runs, arms = (pd.concat([getattr(task, table) for task in tasks]) for table in ("runs", "arms"))
    comparisons = comparisons_table(tasks)
    over_tasks = over_tasks_table(comparisons, {task.name: task.primary for task in tasks}, settings.confidence)

    folder = METRICS_FOLDER / params.study
    with new_folder(folder / "tables") as tables:
        write_csv(tables / "runs.csv", runs)
        write_csv(tables / "arms.csv", arms)
        write_csv(tables / "comparisons.csv", comparisons)
        write_csv(tables / "over_tasks.csv", over_tasks)
    write_json(folder / "summary.json", summary(arms, comparisons, over_tasks))

    for task in tasks:
        shown = task.arms[task.arms["metric"] == task.primary]
        print(f"\n{task.name}: {task.primary} on test")
        print(shown[["role", "arm", "mean", "std", "low", "high", "n"]].to_string(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
