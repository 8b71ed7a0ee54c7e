"""Prepare one task: read its source and cut train, selection and test."""

import argparse

from src.data.preparation import prepare_task
from src.errors import stage
from src.params import load_params


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="a name from task_settings in params.yaml")
    task = parser.parse_args().task

    description = prepare_task(task, load_params())

    for split, facts in description["splits"].items():
        print(f"{task} {split}: {facts['rows']} rows, labels {facts['labels']}")


if __name__ == "__main__":
    main()
