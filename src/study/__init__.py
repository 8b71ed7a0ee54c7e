"""The path from finished runs to tables, verdicts, figures and a report, and the named studies that make the runs.

The packages have this order, and none imports from a later one: statistics, records, claims, drawing, report. `named`,
which runs named studies, imports from all of them except `report`. `simulations`, which tests the statistics, imports
from all except `drawing` and `report`. CONTRIBUTING.md, Packages, has the rule for the rest of `src`.
"""

import os
from pathlib import Path

os.environ.pop("MPLBACKEND", None)  # figures are files, and an unknown backend makes the import of matplotlib fail

METRICS_FOLDER = Path("metrics")  # metrics/<study> has the records, tables and verdicts of a study
STUDIES_FOLDER = Path("studies")
UNIT_SETTINGS = "settings.json"  # the last file of a unit's records to be written


def study_file(name: str, folder: Path = STUDIES_FOLDER) -> Path:
    """The file with a study's overrides. Its page, README.md, lies beside it."""
    return folder / name / "study.yaml"


def unit_folder(study: str, task: str, seed: int) -> Path:
    """The folder of the records of a task's runs of one seed, if they are kept for `stages.join`."""
    return METRICS_FOLDER / study / "units" / f"{task}-{seed}"


def run_command(study: str) -> str:
    """The command that runs a study. The study of params.yaml has no file, and the demo's folder has no studies."""
    if study_file(study).is_file():
        return f"make study NAME={study}"
    return "make demo" if study == "demo" else "make repro"
