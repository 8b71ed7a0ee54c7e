"""Describe the data of a task before anything is trained: rows, labels, repeated texts, tokens."""

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd

from src.data.preparation import prepare_task
from src.data.prepared import PreparedTask, load_task
from src.describing.doubts import doubts
from src.describing.readers import readers_of
from src.describing.source import source_in_words
from src.describing.tables import label_table, length_table, majority, text_table
from src.params import Params, load_params
from src.study.named.overrides import study_params
from src.system.errors import stage


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="a name from task_settings in params.yaml")
    parser.add_argument("--name", help="a study in studies/ whose settings to use (default: the study of params.yaml)")
    arguments = parser.parse_args()

    params = study_params(arguments.name) if arguments.name else load_params()
    task = prepared(arguments.task, params)
    readers = readers_of(params, arguments.task)
    labels, texts, lengths = label_table(task), text_table(task), length_table(task, readers)
    label, scores = majority(task)

    print(f"{task.name}: {source_in_words(params.task(task.name), params.glue)}\n")
    if (folds := params.folds_of(task.name)) > 1:
        print(f"The task has {folds} folds, and each seed tests one. The tables show the splits of the first seed.\n")
    show(texts)
    show(labels)
    show(lengths)
    told = ", ".join(f"{metric} {score:.3f}" for metric, score in scores.items())
    print(f"If every prediction is '{label}', the most frequent label of train: {told} on selection.")
    print("Test labels are not shown, because no choice may use them (docs/protocol.md).")
    for line in doubts(labels, texts, lengths, readers):
        print(f"warning: {line}", file=sys.stderr)


def prepared(name: str, params: Params) -> PreparedTask:
    """The task as `prepare` cuts it for the first seed, made in a temporary folder, so that data/ does not change."""
    with tempfile.TemporaryDirectory() as folder:
        prepare_task(name, params, Path(folder))
        return load_task(name, Path(folder), params.seeds_of(name)[0])


def show(table: pd.DataFrame) -> None:
    """Print a table with shares in percent."""
    print(table.to_string(index=False, float_format="{:.1%}".format), end="\n\n")


if __name__ == "__main__":
    main()
