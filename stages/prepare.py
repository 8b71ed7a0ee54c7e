"""Prepare one task: read its source and cut train, selection and test."""

import argparse
from collections.abc import Iterator
from typing import Any

from src.data.preparation import prepare_task
from src.data.prepared import FOLDS
from src.params import load_params
from src.system.errors import stage


def sizes(task: str, description: dict[str, Any]) -> list[str]:
    """A line for each split, or for each seed in a task with folds."""
    if FOLDS not in description:
        splits = description["splits"].items()
        return [f"{task} {split}: {facts['rows']} rows, labels {facts['labels']}" for split, facts in splits]
    rows, folds = description["rows"], description[FOLDS]
    cuts = {
        seed: ", ".join(f"{facts['rows']} rows of {split}" for split, facts in splits.items())
        for seed, splits in description["splits"].items()
    }
    told = [f"{task} seed {seed}, fold {int(seed) % folds}: {cut}" for seed, cut in cuts.items()]
    return [f"{task}: {rows['rows']} rows in {folds} folds, labels {rows['labels']}", *told]


def overlaps(description: dict[str, Any]) -> Iterator[str]:
    """For each test set of the task's own, the train and selection rows that share a text with it."""
    found = {"test": description.get("test_overlap"), "also_test": description.get("also_test", {}).get("overlap")}
    for test, counts in found.items():
        if counts is not None:
            shared = "{train} rows of train and {selection} of selection share a text with".format_map(counts)
            yield f"{shared} {test}, {counts['left_out']} were left out"


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="a name from task_settings in params.yaml")
    task = parser.parse_args().task

    params = load_params()
    description = prepare_task(task, params)

    for line in sizes(task, description):
        print(line)
    for split, rows in description.get("dropped_rows", {}).items():
        print(f"{task} {split}: {rows} rows left out by drop_labels")
    for split, rows in description.get("one_text_empty", {}).items():
        print(f"{task} {split}: {rows} pairs have one empty text")
    if wanted := params.task(task).max_rows.transfer:
        print(f"{task} transfer: {description['transfer_rows']} rows without labels (max_rows.transfer: {wanted})")
    for overlap in overlaps(description):
        print(f"{task}: {overlap} (test_overlap: {params.task(task).test_overlap})")


if __name__ == "__main__":
    main()
