"""Run a named study: params.yaml with the overrides of studies/<name>.yaml, as a DVC experiment of that name.

Its training stages run side by side first, and `dvc exp run` finds them done.
"""

import argparse
import shlex

from src.dvc_state import mend
from src.errors import stage
from src.parallel.options import add_options, options_in
from src.parallel.study import become, check_identity, run_units
from src.parallel.units import WHOLE
from src.study.dvc_experiment import study_arguments, write_study_params


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a file in studies/, without .yaml")
    parser.add_argument("--dry", action="store_true", help="print the command and stop")
    add_options(parser)
    arguments = parser.parse_args()

    command = study_arguments(arguments.name)

    print(shlex.join(command), flush=True)
    if arguments.dry:
        return
    if arguments.part == WHOLE:
        check_identity()
    mend()
    write_study_params(command)
    run_units(options_in(arguments))
    if arguments.part == WHOLE:
        become(*study_arguments(arguments.name))
    print("this part is up to date; when all parts are, run it without --part")


if __name__ == "__main__":
    main()
