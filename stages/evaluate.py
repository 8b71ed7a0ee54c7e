"""Evaluate the study: scores of every run on test, means, paired comparisons, verdicts on claims and contrasts."""

import sys

import pandas as pd

from src.params import Params, load_params
from src.study import METRICS_FOLDER
from src.study.claims.claims import claims_content, with_holm
from src.study.claims.claims_in_words import verdict_in_words
from src.study.claims.families import chosen_trials, selection_scores
from src.study.claims.judging import judged_tasks
from src.study.claims.majority import majority_warnings, one_label_warnings
from src.study.claims.moved import manipulation, measures_of, moved_table
from src.study.claims.tables import (
    arms_table,
    compared_task,
    headline,
    over_tasks_table,
    trials_table,
)
from src.study.records.scores import measured_task
from src.study.records.task_records import load_records
from src.study.statistics.clusters import cluster_warnings
from src.study.statistics.digits import written_content, written_table
from src.system.errors import stage
from src.system.files import new_folder, write_csv, write_json


def evaluate(params: Params) -> None:
    """Write the tables, the summary and the verdicts of a study from its records."""
    settings = params.evaluate
    families, confidence = settings.families, settings.confidence

    trials, warnings, compared, measures = [], [], {}, {}
    for name in params.tasks:
        records = load_records(params.study, name)
        scores = selection_scores(records)
        chosen = chosen_trials(families, scores)
        trials.append(trials_table(name, families, scores, chosen))
        measured = measured_task(records, settings.ece_bins)
        compared[name] = compared_task(measured, chosen)
        measures[name] = measures_of(measured, records.history)
        warnings += majority_warnings(records.task, measured.runs)
        warnings += one_label_warnings(measured)
        warnings += cluster_warnings(name, records.text_clusters)

    primary = {name: task.measured.primary for name, task in compared.items()}
    arms = written_table(pd.concat([arms_table(task, confidence) for task in compared.values()]))
    comparisons, found = judged_tasks(params, compared)
    claims = written_content(with_holm([*found.values()]))
    moved = written_table(moved_table(manipulation(params, compared, measures), settings.claims, claims))

    folder = METRICS_FOLDER / params.study
    with new_folder(folder / "tables") as tables:
        write_csv(tables / "runs.csv", written_table(pd.concat([task.measured.table() for task in compared.values()])))
        write_csv(tables / "arms.csv", arms)
        write_csv(tables / "trials.csv", written_table(pd.concat(trials)))
        write_csv(tables / "comparisons.csv", written_table(comparisons))
        write_csv(tables / "over_tasks.csv", written_table(over_tasks_table(comparisons, primary, confidence)))
        write_csv(tables / "moved.csv", moved)
    write_json(folder / "summary.json", headline(arms, primary, families))
    write_json(folder / "claims.json", claims_content(claims, warnings))

    for name, metric in primary.items():
        shown = arms[(arms["task"] == name) & (arms["metric"] == metric)]
        means = ", means over folds" if compared[name].measured.test_ratios is not None else ""
        print(f"\n{name}: {metric} on test{means}")
        print(shown[["role", "arm", "mean", "std", "low", "high", "n"]].to_string(index=False, float_format="%.4f"))
    print("", *(verdict_in_words(claim, moved) for claim in claims), sep="\n")
    if unasked := [name for name in (*settings.claims, *settings.contrasts) if name not in found]:
        print(f"Left out, because nobody voted on these texts: {', '.join(unasked)}.")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


@stage
def main() -> None:
    evaluate(load_params())


if __name__ == "__main__":
    main()
