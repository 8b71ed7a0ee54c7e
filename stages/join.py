"""Join the records of a study's units, from `stages.study --keep` or `stages.pool --name`, into those of its tasks."""

import argparse

from src.study.named.overrides import study_params
from src.study.records.unit_records import check_joinable, check_units, join_units
from src.system.errors import stage


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a folder in studies/")
    params = study_params(parser.parse_args().name)
    check_joinable(params)

    check_units(params, params.tasks)  # before any task's records are written
    for task in params.tasks:
        join_units(params, task)
        print(f"{task}: units of {len(params.seeds_of(task))} seeds joined")

    print(f"tables and figures: `make statistics NAME={params.study}`")


if __name__ == "__main__":
    main()
