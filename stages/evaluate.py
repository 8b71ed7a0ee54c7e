"""Evaluate the study: every run on test, the arms' means, their paired comparisons, and the verdicts on the claims."""

import sys

import pandas as pd

from src.errors import stage
from src.files import new_folder, write_csv, write_json
from src.params import Params, load_params
from src.study.claims import claims_content, judged, with_holm
from src.study.claims_in_words import verdict_in_words
from src.study.clusters import cluster_warnings
from src.study.contrasts import contrasts_table, judged_contrast
from src.study.digits import written_content, written_table
from src.study.families import chosen_trials, selection_scores
from src.study.majority import majority_warnings, one_label_warnings
from src.study.measuring import measured_task
from src.study.moved import manipulation, measures_of, with_moved
from src.study.pairs import pairs_to_compare
from src.study.records import METRICS_FOLDER, load_records
from src.study.summary import (
    arms_table,
    compared_task,
    comparisons_table,
    headline,
    over_tasks_table,
    trials_table,
)


def evaluate(params: Params) -> None:
    """Write the tables, the summary and the verdicts of a study from its records."""
    settings = params.evaluate
    families, confidence = settings.families, settings.confidence

    tasks, trials, warnings, measures = [], [], [], {}
    for name in params.tasks:
        records = load_records(params.study, name)
        scores = selection_scores(records)
        chosen = chosen_trials(families, scores)
        trials.append(trials_table(name, families, scores, chosen))
        tasks.append(compared_task(measured_task(records, settings.ece_bins), chosen))
        measures[name] = measures_of(tasks[-1].measured, records.history)
        warnings += majority_warnings(records.task, tasks[-1].measured.runs)
        warnings += one_label_warnings(tasks[-1].measured)
        warnings += cluster_warnings(name, records.text_clusters)

    primary = {task.measured.name: task.measured.primary for task in tasks}
    arms = written_table(pd.concat([arms_table(task, confidence) for task in tasks]))
    comparisons = comparisons_table(tasks, pairs_to_compare(params), confidence)
    compared = {task.measured.name: task for task in tasks}
    found = [judged(*claim, comparisons, compared, confidence) for claim in settings.claims.items()]
    claims = written_content(with_moved(with_holm(found), manipulation(params, compared, measures), settings.claims))
    contrasts = written_content(
        [judged_contrast(*contrast, compared, confidence) for contrast in settings.contrasts.items()]
    )

    folder = METRICS_FOLDER / params.study
    with new_folder(folder / "tables") as tables:
        write_csv(tables / "runs.csv", written_table(pd.concat([task.measured.table() for task in tasks])))
        write_csv(tables / "arms.csv", arms)
        write_csv(tables / "trials.csv", written_table(pd.concat(trials)))
        write_csv(tables / "comparisons.csv", written_table(comparisons))
        write_csv(tables / "over_tasks.csv", written_table(over_tasks_table(comparisons, primary, confidence)))
        if contrasts:
            write_csv(tables / "contrasts.csv", contrasts_table(contrasts))
    write_json(folder / "summary.json", headline(arms, primary, families))
    write_json(folder / "claims.json", claims_content(claims, warnings))

    for name, metric in primary.items():
        shown = arms[(arms["task"] == name) & (arms["metric"] == metric)]
        print(f"\n{name}: {metric} on test")
        print(shown[["role", "arm", "mean", "std", "low", "high", "n"]].to_string(index=False, float_format="%.4f"))
    print("", *map(verdict_in_words, claims + contrasts), sep="\n")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


@stage
def main() -> None:
    evaluate(load_params())


if __name__ == "__main__":
    main()
