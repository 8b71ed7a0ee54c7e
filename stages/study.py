"""Run a named study: params.yaml with the overrides of studies/<name>.yaml, as a DVC experiment of that name."""

import argparse
import shlex
import subprocess
import sys

from src.dvc_state import mend
from src.errors import stage
from src.study.overrides import study_arguments


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="a file in studies/, without .yaml")
    parser.add_argument("--dry", action="store_true", help="print the command and stop")
    arguments = parser.parse_args()

    command = study_arguments(arguments.name)

    print(shlex.join(command), flush=True)
    if not arguments.dry:
        mend()
        sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
