"""Print which runs of a study are finished, running, slow, failed, diverging or waiting (docs/live.md)."""

import argparse
import shutil
import sys
import time

from src.params import Params, load_params
from src.status.states import study_states
from src.status.table import table
from src.study.named.overrides import study_params
from src.system.errors import UserError, stage
from src.system.interrupts import Stopped

SECONDS = 5.0  # between two looks
CLEAR = "\x1b[H\x1b[2J"


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", help="a folder in studies/ (default: the study of params.yaml)")
    parser.add_argument("--all", action="store_true", help="list all runs, the finished and waiting ones too")
    parser.add_argument("--watch", action="store_true", help="look again every few seconds, until Ctrl-C")
    arguments = parser.parse_args()

    params = study_params(arguments.name) if arguments.name else load_params()
    if arguments.watch:
        watch(params, arguments.all)
    else:
        print(*table(params, study_states(params), arguments.all), sep="\n")


def watch(params: Params, every: bool) -> None:
    """Keep the table on the terminal up to date, as much of it as fits.

    Raises:
        UserError: the output is not a terminal.
    """
    if not sys.stdout.isatty():
        raise UserError("--watch", "the output is not a terminal", "leave --watch out")
    try:
        while True:
            lines = table(params, study_states(params), every)
            columns, rows = shutil.get_terminal_size()
            fitting = (
                lines if len(lines) < rows else [*lines[: rows - 2], f"... and {len(lines) - rows + 2} more lines"]
            )
            print(CLEAR + "\n".join(line[:columns] for line in fitting), flush=True)
            time.sleep(SECONDS)
    except Stopped:
        return


if __name__ == "__main__":
    main()
