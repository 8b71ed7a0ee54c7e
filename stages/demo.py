"""Run the whole pipeline on a hundredth of the default study's work, in a copy below demo/."""

import argparse
import os
import sys
from pathlib import Path

from src.parallel.study import run_to_its_end
from src.parallel.unit_copy import copy_repository
from src.study.named.overrides import study_content
from src.study.named.workspace import check_unchanged
from src.system.errors import stage

FOLDER = Path("demo")
LEFT = f"""
The demo is too small for its numbers to mean anything. `make repro` runs the default study.
{FOLDER}/plots/demo/report.html    the report, to open in a browser
tensorboard --logdir {FOLDER}/logs/tensorboard    each run's curves (after source .venv/bin/activate)
docs/your-data.md               how to run the pipeline on your own data"""


@stage
def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()

    check_unchanged()
    copy_repository(FOLDER, study_content("demo"), (FOLDER / ".dvc/cache").resolve())
    os.chdir(FOLDER)
    run_to_its_end(sys.executable, "-m", "stages.repro")

    print(LEFT)


if __name__ == "__main__":
    main()
