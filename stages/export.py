"""Export the model that a run kept: a folder with ONNX, tokenizer, config and card, checked on the test rows."""

import argparse
from pathlib import Path
from typing import get_args

from src.arms import arms_of
from src.export.checking import FARTHEST, Checked
from src.export.exporting import export_run
from src.export.extra import check_extra
from src.kept_models import kept_folder
from src.params import Params, Role, load_params
from src.runs import RunName
from src.system.errors import UserError, stage
from src.system.files import is_file

EXPORTS_FOLDER = Path("exports")


def check_run(params: Params, run: RunName) -> None:
    """Check before any work that there is a model to export.

    Raises:
        UserError: the run does not exist, or kept no model.
    """
    if not is_file(run.folder() / "record.json"):
        known = ", ".join(arms_of(params)[run.role])
        allowed = f"run `dvc repro`, or name another task, seed or {run.role} arm; params.yaml has the arms {known}"
        raise UserError(run.folder(), "this run has not been made", allowed)
    kept_folder(run)


def free_folder(out: Path | None, run: RunName) -> Path:
    """The folder to write to: `out`, or a folder below exports/, where a new export replaces an old one.

    Raises:
        UserError: `out` exists and is not an empty folder.
    """
    if out is None:
        return run.folder(EXPORTS_FOLDER)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"--out {out}", "exists already", "delete it, or name a new folder")
    return out


def say(run: RunName, folder: Path, checked: Checked) -> None:
    """Print the scores and checks of an export."""
    print(f"{folder}: the model of {run}, on {checked.rows} test rows")
    farthest = f"logits {checked.logits_apart:.1e}, h {checked.h_apart:.1e} (allowed: {FARTHEST:.0e})"
    print(f"farthest from torch: {farthest}")
    print(f"labels as the run itself predicted them: {checked.as_the_run} of {checked.rows}")
    for file, score in checked.scores.items():
        megabytes = (folder / file).stat().st_size / 1e6
        print(f"{file}: {checked.metric} {score:.4f}, {megabytes:.1f} MB")
    print(f"{folder / 'README.md'} says how to use it")


@stage
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--role", required=True, choices=get_args(Role))
    parser.add_argument("--arm", required=True, help="the run's arm, as in runs/<task>/<role>/<arm>/<seed>")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--format", choices=["onnx"], default="onnx", help="onnx is the only format")
    parser.add_argument("--int8", action="store_true", help="also write a model in 8 bits, and print its score")
    parser.add_argument("--out", type=Path, help="a new folder (default: exports/<task>/<role>/<arm>/<seed>)")
    arguments = parser.parse_args()

    params, run = load_params(), RunName(arguments.task, arguments.role, arguments.arm, arguments.seed)
    check_run(params, run)
    folder = free_folder(arguments.out, run)
    check_extra()
    say(run, folder, export_run(run, params.runtime, folder, arguments.int8))


if __name__ == "__main__":
    main()
