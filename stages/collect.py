"""Collect the small results of every run of one task: predictions, histories and feature-space measures."""

import argparse

from src.params import load_params
from src.runs import runs_of_task
from src.study.records.collecting import collect_task
from src.study.records.leftovers import bring_back, set_aside
from src.study.records.task_records import records_folder
from src.system.errors import stage


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="a name from task_settings in params.yaml")
    task = parser.parse_args().task
    params = load_params()

    names = runs_of_task(params, task)
    bring_back(names)
    set_aside(task, names)
    collect_task(task, names, records_folder(params.study, task), params.evaluate.ece_bins, min(params.seeds_of(task)))

    print(f"{task}: {len(names)} runs collected")


if __name__ == "__main__":
    main()
