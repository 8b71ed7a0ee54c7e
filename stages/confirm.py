"""Write the study that confirms a finished choosing study: its chosen trials, task by task, on fresh seeds."""

import argparse
import sys

from pydantic import ValidationError

from src.params import MoreSeeds
from src.study.named.confirming_file import write_confirming_study
from src.system.errors import stage


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="the choosing study: in studies/, or that of params.yaml")
    parser.add_argument("--name", required=True, help="the confirming study; writes studies/<name>/study.yaml")
    parser.add_argument("--seeds", required=True, type=int, nargs="+", help="its seeds, all of them fresh")
    parser.add_argument("--more-tasks", nargs="+", default=[], help="tasks that run more seeds")
    parser.add_argument("--more-seeds", type=int, nargs="+", default=[], help="the further seeds of these tasks")
    arguments = parser.parse_args()

    if bool(arguments.more_tasks) != bool(arguments.more_seeds):
        parser.error("--more-tasks and --more-seeds need each other")
    try:
        more_seeds = MoreSeeds(tasks=arguments.more_tasks, seeds=arguments.more_seeds)
    except ValidationError as error:
        fault = error.errors()[0]
        parser.error(f"--more-{fault['loc'][0]}: {fault['msg']} (got {fault['input']!r})")
    path, left_out = write_confirming_study(arguments.study, arguments.name, arguments.seeds, more_seeds)

    if left_out:
        told = f"{path} leaves out comparisons between trials of one family: {'; '.join(left_out)}"
        print(f"warning: {told}", file=sys.stderr)
    print(f"{path}: run it with `make study NAME={arguments.name}`")


if __name__ == "__main__":
    main()
