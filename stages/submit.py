"""Predict GLUE's official test splits with the best run of an arm, for the GLUE server.

The best run of a task has the best selection score of all seeds. It must have kept its weights.
"""

import argparse
from pathlib import Path
from typing import cast, get_args

from src.data.sources.dataset import columns_of_task, location_of_task
from src.data.sources.ready_splits import read_unlabelled
from src.params import Params, Role, load_params
from src.submission.asked import check_arm, tasks_of_glue
from src.submission.chosen import Predictor, best_run
from src.submission.files import ALL_FILES, OFFICIAL_LABELS, OFFICIAL_TESTS, table_of, write_submission
from src.system.errors import stage

SUBMISSIONS_FOLDER = Path("submissions")


def submit(params: Params, role: Role, arm: str) -> tuple[Path, list[str]]:
    """Write an arm's zip file with the study's GLUE tasks. Return its path and the names of the missing files."""
    check_arm(params, role, arm, "--arm")
    tables = {}
    for task, part in tasks_of_glue(params).items():
        settings, run = params.task(task), best_run(params, task, role, arm)
        location, columns = location_of_task(settings, params.glue), columns_of_task(settings)
        model = Predictor(run, columns.labels, params.runtime)
        for test in OFFICIAL_TESTS[part]:
            labels = model.labels_of(read_unlabelled(task, location, columns, test.split))
            tables[test.file] = table_of(labels, OFFICIAL_LABELS[part], test.by_name)
            print(f"{test.file}: {len(labels)} rows, predicted by {run}", flush=True)

    target = SUBMISSIONS_FOLDER / params.study / f"{role}-{arm}.zip"
    write_submission(target, tables)
    return target, [name for name in ALL_FILES if name not in tables]


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", required=True, choices=get_args(Role))
    parser.add_argument("--arm", required=True, help="an arm of that role in params.yaml")
    arguments = parser.parse_args()

    target, missing = submit(load_params(), cast(Role, arguments.role), arguments.arm)
    print(f"{target}: add the server's sample files for the missing tasks: {', '.join(missing)}")


if __name__ == "__main__":
    main()
